#include "daemon/process/signals.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace vethd {
namespace {

constexpr std::array kStop = {SIGTERM, SIGINT};
// signal(7): default action "Term", and no cause inside the process itself.
constexpr std::array kUnused = {SIGUSR1, SIGUSR2,   SIGALRM, SIGVTALRM,
                                SIGPROF, SIGSTKFLT, SIGIO,   SIGPWR};
// A write says it by its own answer.
constexpr std::array kAnsweredByWrites = {SIGPIPE, SIGXFSZ, SIGTTOU};
// What the CPU, the C library or a debugger means by them is the same in every process.
constexpr std::array kNeverIgnored = {SIGKILL, SIGSTOP, SIGCONT, SIGCHLD, SIGSEGV, SIGBUS,
                                      SIGFPE,  SIGILL,  SIGABRT, SIGTRAP, SIGSYS};

constexpr bool is_in(const auto& list, int signal) {
  return std::ranges::find(list, signal) != list.end();
}

void empty_mask() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

const std::vector<int>& handled_signals() {
  static const std::vector<int> all = [] {
    std::vector<int> signals = {SIGHUP};
    signals.insert(signals.end(), kStop.begin(), kStop.end());
    signals.insert(signals.end(), kUnused.begin(), kUnused.end());
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) signals.push_back(signal);
    return signals;
  }();
  return all;
}

SignalMeaning meaning_of(int signal) {
  if (signal == SIGHUP) return SignalMeaning::reload;
  return is_in(kStop, signal) ? SignalMeaning::stop : SignalMeaning::none;
}

std::string signal_name(int signal) {
  if (signal >= SIGRTMIN) return "SIGRTMIN+" + std::to_string(signal - SIGRTMIN);
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

void settle_signals() {
  for (const int signal : kAnsweredByWrites) ::signal(signal, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  empty_mask();
}

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

void ignore_signals() {
  for (int signal = 1; signal <= SIGRTMAX; ++signal)
    if (!is_in(kNeverIgnored, signal)) ::signal(signal, SIG_IGN);
  empty_mask();
}

}  // namespace vethd

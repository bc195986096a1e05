// Which signals reach the daemon, and what they mean to it.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

namespace vethd {

enum class SignalMeaning : std::uint8_t {
  stop,    // SIGTERM, SIGINT
  reload,  // SIGHUP
  none,    // would end a process that has no use for it: SIGUSR1, SIGALRM, real-time, ...
};

/// All that has a meaning here. Left to the kernel: faults, job control, and SIGQUIT and SIGXCPU,
/// which somebody has asked for.
const std::vector<int>& handled_signals();
SignalMeaning meaning_of(int signal);

/// "SIGUSR1", "SIGRTMIN+3"
std::string signal_name(int signal);

/// For the start: nothing stays blocked by whoever started us, SIGCHLD is not ignored, and SIGPIPE,
/// SIGXFSZ and SIGTTOU are: those writes fail, or go through, instead.
void settle_signals();

/// All signals are blocked while this exists: around fork(), whose child has other uses for them.
class SignalsBlocked {
 public:
  SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked();

 private:
  sigset_t before_;
};

/// For a process that only the end of another may end: ignores what can be ignored, faults
/// excepted, and unblocks everything.
void ignore_signals();

}  // namespace vethd

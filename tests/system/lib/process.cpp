#include "tests/system/lib/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace {

constexpr int kCannotExec = 127;  // as a shell says it

[[noreturn]] void become(const std::vector<char*>& argv, int out, int err, int netns,
                         const std::function<void()>& before_exec) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const bool ready = (netns < 0 || ::setns(netns, CLONE_NEWNET) == 0) &&
                     ::dup2(out, STDOUT_FILENO) >= 0 && ::dup2(err, STDERR_FILENO) >= 0;
  if (ready) {
    if (before_exec) before_exec();
    ::execvp(argv[0], argv.data());
  }
  ::_exit(kCannotExec);
}

std::string contents(const Fd& file) {
  std::string text;
  std::array<char, 4096> block{};
  for (;;) {  // ends at the end of the file
    const ssize_t n =
        ::pread(file.get(), block.data(), block.size(), static_cast<off_t>(text.size()));
    if (n <= 0) return text;
    text.append(block.data(), static_cast<std::size_t>(n));
  }
}

Fd memory_file(const char* name) {
  Fd file{::memfd_create(name, MFD_CLOEXEC)};
  if (!file.is_open()) throw std::system_error(errno, std::generic_category(), "memfd_create");
  return file;
}

}  // namespace

void pause_for(milliseconds turn) { ::poll(nullptr, 0, static_cast<int>(turn.count())); }

Process::Process(std::vector<std::string> argv, const Options& options)
    : out_(memory_file("stdout")), err_(memory_file("stderr")) {
  std::vector<char*> pointers;
  for (std::string& word : argv) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const Fd netns = options.netns.empty() ? Fd{} : open_netns(options.netns);

  pid_ = ::fork();
  if (pid_ == 0) become(pointers, out_.get(), err_.get(), netns.get(), options.before_exec);
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork for " + argv[0]);
  pidfd_ = Fd{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
  if (!pidfd_.is_open()) throw std::system_error(errno, std::generic_category(), "pidfd_open");
}

Process::~Process() {
  if (exit_code_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string Process::out() const { return contents(out_); }
std::string Process::err() const { return contents(err_); }

void Process::signal(int number) const { ::kill(pid_, number); }

std::optional<int> Process::wait_exit(milliseconds limit) {
  if (exit_code_) return exit_code_;
  pollfd gone{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&gone, 1, static_cast<int>(limit.count())) != 1) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

long Process::cpu_ticks() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // proc(5): the name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const std::vector<std::string> fields = words(text.substr(text.rfind(')') + 1));
  return std::stol(fields.at(11)) + std::stol(fields.at(12));
}

Finished run(std::vector<std::string> argv, const Process::Options& options, milliseconds limit) {
  std::string line;
  for (const std::string& word : argv) line += word + ' ';
  Process process(std::move(argv), options);
  const std::optional<int> code = process.wait_exit(limit);
  if (!code)
    throw std::runtime_error(line + "did not end; it said: " + process.out() + process.err());
  return {*code, process.out(), process.err()};
}

std::vector<std::string> words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  return {std::istream_iterator<std::string>(stream), {}};
}

}  // namespace vethd::system_test

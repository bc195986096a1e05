// A child process whose output is kept, and which never outlives its owner.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/fd.hpp"
#include "tests/system/lib/wait.hpp"

namespace vethd::system_test {

/// Starts argv[0], looked up in PATH.
///
/// Threads  start from the main thread: the kernel kills the child when the starting thread ends.
/// Errors   std::runtime_error when it cannot be started.
class Process {
 public:
  struct Options {
    std::string netns = {};                  // named namespace to start in; empty: ours
    std::function<void()> before_exec = {};  // runs in the child: system calls only
  };

  explicit Process(std::vector<std::string> argv) : Process(std::move(argv), Options{}) {}
  Process(std::vector<std::string> argv, const Options& options);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // kills and reaps

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string out() const;  // everything written so far
  [[nodiscard]] std::string err() const;

  void signal(int number) const;

  /// The exit code, 128 + n after signal n as in a shell, nothing while it still runs.
  std::optional<int> wait_exit(milliseconds limit);

  /// CPU time used so far by all its threads, user and system, in clock ticks.
  [[nodiscard]] long cpu_ticks() const;

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
  Fd out_;  // memory files: a child never blocks because nobody reads
  Fd err_;
  std::optional<int> exit_code_;
};

struct Finished {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// Runs to the end, or kills it and throws after limit.
Finished run(std::vector<std::string> argv, const Process::Options& options,
             milliseconds limit = 20s);
inline Finished run(std::vector<std::string> argv) { return run(std::move(argv), {}); }

/// "ip -n red link" -> {"ip", "-n", "red", "link"}
std::vector<std::string> words(std::string_view text);

}  // namespace vethd::system_test

// A turn on the CPU during which some kernel threads cannot run.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace vethd::parity {

/// Binds the threads to one CPU, ours, and takes it with real-time priority until destroyed.
///
/// Affects  the calling thread, restored at the end; the threads stay bound.
class Undisturbed {
 public:
  explicit Undisturbed(const std::vector<pid_t>& threads) {
    must(::sched_getaffinity(0, sizeof before_, &before_));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    for (const pid_t thread : threads) {
      // One of an earlier device of this name may be ending right now.
      if (::sched_setaffinity(thread, sizeof one, &one) != 0 && errno != ESRCH) must(-1);
    }
    must(::sched_setaffinity(0, sizeof one, &one));
    policy_ = ::sched_getscheduler(0);
    must(::sched_getparam(0, &ordinary_));
    const sched_param realtime{.sched_priority = 1};
    must(::sched_setscheduler(0, SCHED_FIFO, &realtime));
  }
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;
  ~Undisturbed() {
    ::sched_setscheduler(0, policy_, &ordinary_);
    ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  static void must(int result) {
    if (result != 0) throw std::system_error(errno, std::generic_category(), "take a CPU");
  }
  cpu_set_t before_{};
  int policy_ = SCHED_OTHER;
  sched_param ordinary_{};
};

}  // namespace vethd::parity

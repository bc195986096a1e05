// What work costs: CPU time between two moments, memory of a process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>

#include "daemon/core/result.hpp"

namespace vethd::bench {

struct CpuTime {
  std::chrono::nanoseconds wall{0};
  std::chrono::nanoseconds machine{0};     // all CPUs, anything but idle; resolution 10 ms
  std::chrono::nanoseconds interrupts{0};  // of them, those that are in no process's time
  std::chrono::nanoseconds forwarder{0};   // all threads of all its processes, kernel time included
  std::chrono::nanoseconds own{0};         // the same of the calling process

  friend CpuTime operator-(const CpuTime& later, const CpuTime& earlier) {
    return {.wall = later.wall - earlier.wall,
            .machine = later.machine - earlier.machine,
            .interrupts = later.interrupts - earlier.interrupts,
            .forwarder = later.forwarder - earlier.forwarder,
            .own = later.own - earlier.own};
  }

  /// CPUs that were busy with none of these: a disturbed measurement shows here.
  [[nodiscard]] double others_cpus() const {
    return static_cast<double>((machine - interrupts - forwarder - own).count()) /
           static_cast<double>(wall.count());
  }
};

/// Reads all of them; no processes: the forwarder's stays at zero.
///
/// Machine time is the wall clock times the CPUs minus the idle time of /proc/stat. Idle time is
/// kept exactly by a tickless kernel, whereas its user, system and softirq columns are sampled by a
/// timer tick that short bursts of work can hide from.
///
/// Time in interrupts and softirqs belongs to the process that they interrupt, or is kept apart
/// from all of them (IRQ_TIME_ACCOUNTING of Linux, as most distributions have it). Then it counts
/// as the path's: it is what its devices need.
Result<CpuTime> read_cpu_time(std::span<const pid_t> forwarder);

struct Memory {
  std::int64_t resident_kib = 0;
  std::int64_t peak_kib = 0;
};
/// The sum over the processes.
Result<Memory> read_memory(std::span<const pid_t> processes);

/// Binds the calling thread to one CPU.
Result<void> pin_to_cpu(int cpu);

}  // namespace vethd::bench

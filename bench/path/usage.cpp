#include "bench/path/usage.hpp"

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace vethd::bench {
namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;

/// Of all CPUs together.
struct StatTime {
  nanoseconds idle{0};
  nanoseconds interrupts{0};  // zero where they are in the processes' times
};

Result<StatTime> read_stat() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  std::int64_t user = 0;
  std::int64_t nice = 0;
  std::int64_t system = 0;
  std::int64_t idle = 0;
  std::int64_t iowait = 0;
  std::int64_t irq = 0;
  std::int64_t softirq = 0;
  stat >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  if (!stat) return fail("read /proc/stat");
  // A kernel that does not measure interrupts has softirqs as the tick saw them, and never an irq.
  if (irq == 0) softirq = 0;
  const std::int64_t tick = std::nano::den / ::sysconf(_SC_CLK_TCK);
  return StatTime{.idle = nanoseconds{(idle + iowait) * tick},
                  .interrupts = nanoseconds{(irq + softirq) * tick}};
}

/// The first column of schedstat: time on a CPU, kept by the scheduler in nanoseconds.
Result<nanoseconds> read_process(pid_t pid) {
  const fs::path tasks = "/proc/" + std::to_string(pid) + "/task";
  nanoseconds sum{0};
  std::error_code error;
  for (const fs::directory_entry& task : fs::directory_iterator(tasks, error)) {
    std::ifstream schedstat(task.path() / "schedstat");
    std::int64_t on_cpu = 0;
    if (!(schedstat >> on_cpu)) return fail("read " + task.path().string() + "/schedstat");
    sum += nanoseconds{on_cpu};
  }
  if (error) return fail("read " + tasks.string(), "is the process running?", error.value());
  return sum;
}

Result<Memory> read_process_memory(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  std::ifstream status(path);
  Memory memory;
  std::string key;
  while (status >> key) {
    if (key == "VmRSS:") status >> memory.resident_kib;
    if (key == "VmHWM:") status >> memory.peak_kib;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  if (memory.resident_kib == 0 || memory.peak_kib == 0) {
    return fail("read " + path, "is the process running?", 0);
  }
  return memory;
}

}  // namespace

Result<CpuTime> read_cpu_time(std::span<const pid_t> forwarder) {
  CpuTime time;
  time.wall = std::chrono::steady_clock::now().time_since_epoch();
  Result<StatTime> stat = read_stat();
  if (!stat) return pass(std::move(stat));
  time.machine = time.wall * ::sysconf(_SC_NPROCESSORS_ONLN) - stat->idle;
  time.interrupts = stat->interrupts;
  for (const pid_t pid : forwarder) {
    Result<nanoseconds> process = read_process(pid);
    if (!process) return pass(std::move(process));
    time.forwarder += *process;
  }
  timespec own{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  time.own = std::chrono::seconds{own.tv_sec} + nanoseconds{own.tv_nsec};
  return time;
}

Result<Memory> read_memory(std::span<const pid_t> processes) {
  Memory sum;
  for (const pid_t pid : processes) {
    Result<Memory> memory = read_process_memory(pid);
    if (!memory) return pass(std::move(memory));
    sum.resident_kib += memory->resident_kib;
    sum.peak_kib += memory->peak_kib;
  }
  return sum;
}

Result<void> pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) < 0) {
    return fail("bind a thread to CPU " + std::to_string(cpu), "choose a CPU that is online");
  }
  return {};
}

}  // namespace vethd::bench

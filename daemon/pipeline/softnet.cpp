#include "daemon/pipeline/softnet.hpp"

#include <algorithm>
#include <memory>

#include "daemon/pipeline/broken.hpp"

namespace vethd {
namespace {

/// Emulates  jiffies and usecs_to_jiffies(): time limits are whole ticks, rounded up.
std::int64_t jiffies(Instant now) { return now.time_since_epoch() / kJiffy; }
std::int64_t usecs_to_jiffies(std::chrono::microseconds time) {
  return (std::chrono::nanoseconds(time) + kJiffy - std::chrono::nanoseconds(1)) / kJiffy;
}

Frame* next_of(FrameList& queue) {
  if (!broken(Stage::process_backlog) || queue.empty()) return queue.pop();
  Frame& newest = *queue.back();
  queue.remove(newest);
  return &newest;
}

}  // namespace

Machine::Machine(MachineId machine_id, const Rules& kernel_rules, const Sysctls& settings,
                 const HashKey& key, bool inline_softirq, std::size_t cpus)
    : id(machine_id),
      rules(kernel_rules),
      sysctls(settings),
      hash_key(key),
      inline_arrival(inline_softirq) {
  softnet_data.reserve(cpus);
  for (std::size_t cpu = 0; cpu < cpus; ++cpu)
    softnet_data.push_back(
        std::make_unique<SoftnetData>(*this, CpuId{static_cast<std::uint32_t>(cpu)}, cpus));
}

Machine::~Machine() = default;

SoftnetData::SoftnetData(Machine& machine, CpuId cpu, std::size_t cpus)
    : machine_(machine),
      cpu_(cpu),
      backlog_weight_(static_cast<std::uint32_t>(machine.sysctls.dev_weight)),
      on_rps_ipi_list_(cpus, false) {
  rps_ipi_list_.reserve(cpus);
}

bool SoftnetData::reserve() {
  // Compared unsigned, as the kernel does. A place taken too many is given back at once; meanwhile
  // others can only be refused when the queue is full anyway.
  const auto max_backlog = static_cast<std::uint32_t>(machine_.sysctls.netdev_max_backlog);
  if (qlen_.fetch_add(1, std::memory_order_relaxed) <= max_backlog ||
      broken(Stage::enqueue_to_backlog))
    return true;
  qlen_.fetch_sub(1, std::memory_order_relaxed);
  dropped_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

SoftnetData::Enqueue SoftnetData::enqueue_to_backlog(Frame& frame, const Device& peer, CpuId target,
                                                     RemoteCpu& remote) {
  if (!peer.running) return Enqueue::dev_ready;
  SoftnetData& sd = target == cpu_ ? *this : *machine_.softnet_data[target.value];
  if (!sd.reserve()) return Enqueue::cpu_backlog;
  if (&sd == this) {
    input_pkt_queue_.push(frame);
    // napi_schedule_rps() on this CPU. Whoever set SCHED before has the poll listed, or will.
    if (!scheduled_here_ && claim()) scheduled_here_ = true;
  } else {
    remote.hand_over(frame, target);
    // napi_schedule_rps() for another CPU: it is woken when the list is flushed.
    if (!on_rps_ipi_list_[target.value]) {
      on_rps_ipi_list_[target.value] = true;
      rps_ipi_list_.push_back(target);
    }
  }
  return Enqueue::queued;
}

void SoftnetData::enqueue_remote(Frame& frame) {
  input_pkt_queue_.push(frame);
  // The sender's wake-up may still be on its way. Polling already is right either way: only one
  // of us finds SCHED clear.
  if (!scheduled_here_ && claim()) {
    scheduled_here_ = true;
    ++received_rps_;
  }
}

void SoftnetData::rps_trigger_softirq() {
  if (scheduled_here_ || !sched_.load(std::memory_order_acquire)) return;
  scheduled_here_ = true;
  ++received_rps_;
}

void SoftnetData::net_rps_action(RemoteCpu& remote) {
  for (const CpuId target : rps_ipi_list_) {
    on_rps_ipi_list_[target.value] = false;
    // The exchange follows the hand-over and meets the one in process_backlog(): either that poll
    // still runs and sees the frames, or it is over and this wake-up starts the next.
    if (machine_.softnet_data[target.value]->claim() && !broken(Stage::handover))
      remote.send_ipi(target);
  }
  rps_ipi_list_.clear();
}

std::uint32_t SoftnetData::process_backlog(std::uint32_t quota, RemoteCpu& remote, FrameList& out) {
  if (!rps_ipi_list_.empty()) net_rps_action(remote);
  backlog_weight_ = static_cast<std::uint32_t>(machine_.sysctls.dev_weight);  // for the next call
  std::uint32_t work = 0;
  for (;;) {  // ends: quota counts every frame, and each splice brings at least one
    while (Frame* frame = next_of(process_queue_)) {
      out.push(*frame);
      ++processed_;
      if (++work >= quota) {
        if (broken(Stage::net_rx_action)) scheduled_here_ = false;
        return work;  // SCHED stays set, even if nothing is left
      }
    }
    if (input_pkt_queue_.empty()) {
      scheduled_here_ = false;
      sched_.exchange(false, std::memory_order_acq_rel);  // meets claim() in net_rps_action()
      return work;
    }
    // Producers get the whole limit again at once.
    qlen_.fetch_sub(static_cast<std::uint32_t>(input_pkt_queue_.size()), std::memory_order_relaxed);
    process_queue_.splice(input_pkt_queue_);
  }
}

void SoftnetData::net_rx_action(const Clock& clock, RemoteCpu& remote, FrameList& out) {
  // One NAPI instance, the backlog. A poll that uses its whole weight waits in `repoll` for the
  // next run, so this one ends: one pass, as the kernel does.
  std::int64_t budget = machine_.sysctls.netdev_budget;
  const std::int64_t time_limit =
      jiffies(clock.now()) + usecs_to_jiffies(machine_.sysctls.netdev_budget_usecs);
  if (scheduled_here_) {
    budget -= process_backlog(backlog_weight_, remote, out);
    if (budget <= 0 || jiffies(clock.now()) >= time_limit) ++time_squeeze_;
  }
  net_rps_action(remote);
}

SoftnetCounters SoftnetData::counters() const {
  SoftnetCounters counters;
  counters.processed = processed_;
  counters.dropped = dropped_.load(std::memory_order_relaxed);
  counters.time_squeeze = time_squeeze_;
  counters.received_rps = received_rps_;
  counters.input_qlen = qlen_.load(std::memory_order_relaxed);
  counters.process_qlen = process_queue_.size();
  return counters;
}

}  // namespace vethd

#include "daemon/pipeline/softnet.hpp"

#include <algorithm>
#include <memory>

#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"

namespace vethd {
namespace {

/// Emulates  dev_rx_weight = dev_weight * dev_weight_rx_bias, which wraps around.
std::int32_t dev_rx_weight(const Sysctls& sysctls) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(sysctls.dev_weight) *
                                   static_cast<std::uint32_t>(sysctls.dev_weight_rx_bias));
}

/// Moves the oldest frames, `most` of them or all there are; returns how many.
std::uint32_t deliver(FrameList& queue, std::uint32_t most, FrameList& delivered) {
  if (!broken(Stage::process_backlog))
    return static_cast<std::uint32_t>(delivered.splice(queue, most));
  std::uint32_t frames = 0;
  for (; frames < most && !queue.empty(); ++frames) {
    Frame& newest = *queue.back();
    queue.remove(newest);
    delivered.push(newest);
  }
  return frames;
}

}  // namespace

Machine::Machine(const MachineSetup& setup)
    : id(setup.id),
      rules(setup.rules),
      hash_key(setup.hash_key),
      inline_arrival(setup.inline_arrival),
      hz(setup.hz) {
  std::shared_ptr<SockFlowTable> flows;
  if (const std::uint32_t entries = setup.sysctls.rps_sock_flow_entries; entries != 0)
    flows = std::make_shared<SockFlowTable>(entries, setup.cpus);
  softnet_data.reserve(setup.cpus);
  for (std::size_t cpu = 0; cpu < setup.cpus; ++cpu)
    softnet_data.push_back(std::make_unique<SoftnetData>(
        *this, CpuId{static_cast<std::uint32_t>(cpu)}, setup.cpus, setup.sysctls, flows));
}

Machine::~Machine() = default;

SoftnetData::SoftnetData(Machine& machine, CpuId cpu, std::size_t cpus, const Sysctls& sysctls,
                         std::shared_ptr<SockFlowTable> sock_flow_table)
    : backlog_(*this),
      machine_(machine),
      cpu_(cpu),
      jiffy_(std::chrono::nanoseconds(std::chrono::seconds(1)) / machine.hz),
      sysctls_(sysctls),
      sock_flow_table_(std::move(sock_flow_table)),
      on_rps_ipi_list_(cpus, false) {
  rps_ipi_list_.reserve(cpus);
  set(sysctls, sock_flow_table_);
  backlog_.weight = dev_rx_weight(sysctls);
}

void SoftnetData::set(const Sysctls& sysctls,
                      const std::shared_ptr<SockFlowTable>& sock_flow_table) {
  if (sysctls.rps_sock_flow_entries != sysctls_.rps_sock_flow_entries)
    sock_flow_table_ = sock_flow_table;
  sysctls_ = sysctls;
  const bool limited = std::ranges::binary_search(sysctls_.flow_limit_cpu_bitmap, cpu_);
  if (limited && flow_limit_ == nullptr)
    flow_limit_ = std::make_unique<FlowLimit>(sysctls_.flow_limit_table_len);
  if (!limited) flow_limit_.reset();
}

bool SoftnetData::skb_flow_limit(Frame& frame, const std::byte* data, std::uint32_t qlen) {
  const auto max_backlog = static_cast<std::uint32_t>(sysctls().netdev_max_backlog);
  if (qlen < max_backlog >> 1 || broken(Stage::flow_limit)) return false;
  return flow_limit_->exceeded(skb_get_hash(frame, data, machine_.hash_key, machine_.rules),
                               machine_.rules.hashes_flow_slots);
}

SoftnetData::Enqueue SoftnetData::refuse_not_running(Frame& frame, const std::byte* data,
                                                     SoftnetData& target) {
  switch (machine_.rules.not_running) {
    case Rules::NotRunning::as_backlog_drop:
      target.dropped_.fetch_add(1, std::memory_order_relaxed);
      break;
    case Rules::NotRunning::after_limits: {
      std::uint32_t tail = 0;
      if (const Enqueue refused = reserve(frame, data, target, tail); refused != Enqueue::queued)
        return refused;
      target.qlen_tail_.fetch_sub(kOneAccepted, std::memory_order_relaxed);
      break;
    }
    case Rules::NotRunning::first:
      break;
  }
  return Enqueue::dev_ready;
}

SoftnetData::Enqueue SoftnetData::enqueue_to_backlog(Frame& frame, const std::byte* data,
                                                     const Device& peer, CpuId target,
                                                     RpsDevFlow* flow, Outside& outside) {
  SoftnetData& sd = *machine_.softnet_data[target.value];
  if (!peer.running) return refuse_not_running(frame, data, sd);
  std::uint32_t tail = 0;
  if (const Enqueue refused = reserve(frame, data, sd, tail); refused != Enqueue::queued)
    return refused;
  if (flow != nullptr) flow->last_qtail = tail;
  if (&sd == this) {
    enqueue_here(frame);
    return Enqueue::queued;
  }
  outside.hand_over(frame, target);
  // napi_schedule_rps() for another CPU: it is woken when the list is flushed.
  if (!on_rps_ipi_list_[target.value]) {
    on_rps_ipi_list_[target.value] = true;
    rps_ipi_list_.push_back(target);
    if (!in_net_rx_action_) raised_ = true;
  }
  return Enqueue::queued;
}

void SoftnetData::enqueue_remote(Frame& frame) {
  input_pkt_queue_.push(frame);
  // The sender's wake-up may still be on its way. Polling already is right either way: only one
  // of us finds SCHED clear.
  if (!backlog_listed_ && backlog_.schedule_prep()) {
    backlog_listed_ = true;
    napi_schedule(backlog_);
    ++received_rps_;
  }
}

void SoftnetData::rps_trigger_softirq() {
  if (backlog_listed_ || !backlog_.is_scheduled()) return;
  backlog_listed_ = true;
  napi_schedule(backlog_);
  ++received_rps_;
}

void SoftnetData::napi_schedule(Napi& napi) {
  poll_list_.push(napi);
  // Inside net_rx_action() newer kernels see for themselves that the list has been refilled.
  if (!in_net_rx_action_) raised_ = true;
}

void SoftnetData::net_rps_action(Outside& outside) {
  for (const CpuId target : rps_ipi_list_) {
    on_rps_ipi_list_[target.value] = false;
    // The exchange follows the hand-over and meets the one in process_backlog(): either that poll
    // still runs and sees the frames, or it is over and this wake-up starts the next.
    if (machine_.softnet_data[target.value]->backlog_.schedule_prep() && !broken(Stage::handover))
      outside.send_ipi(target);
  }
  rps_ipi_list_.clear();
}

std::int32_t SoftnetData::process_backlog(std::int32_t quota, RxContext& context) {
  if (!rps_ipi_list_.empty()) net_rps_action(context.outside);
  backlog_.weight = dev_rx_weight(sysctls());    // for the next call
  const std::int32_t most = std::max(quota, 1);  // the kernel looks at the quota after a frame
  std::int32_t work = 0;
  const auto take = [&](FrameList& queue) {
    const std::uint32_t frames =
        deliver(queue, static_cast<std::uint32_t>(most - work), context.delivered);
    work += static_cast<std::int32_t>(frames);
    processed_ += frames;
    head_ += frames;
  };
  take(process_queue_);
  if (work < most && !input_pkt_queue_.empty()) {
    // Producers get the whole limit again at once.
    qlen_tail_.fetch_sub(input_pkt_queue_.size(), std::memory_order_relaxed);
    take(input_pkt_queue_);  // what process_queue would only pass on
    process_queue_.splice(input_pkt_queue_);
  }
  if (work < most) {
    backlog_listed_ = false;
    backlog_.clear_sched();  // meets schedule_prep() in net_rps_action()
  }
  return work;  // the whole quota: SCHED stays set, even if nothing is left
}

std::int32_t SoftnetData::napi_poll(Napi& napi, NapiList& repoll, RxContext& context) {
  const std::int32_t weight = napi.weight;
  const std::int32_t work = napi.poll(weight, context);
  // It has completed by itself. Under a dev_weight below 1, which kernels before 6.18 take, the
  // kernel goes on polling a completed backlog for good; that is left out.
  if (work < weight || work == 0) return work;
  napi.flush_gro(context);
  if (broken(Stage::net_rx_action)) {
    if (&napi == &backlog_) backlog_listed_ = false;
    return work;
  }
  repoll.push(napi);
  return work;
}

void SoftnetData::net_rx_action(std::int64_t now, RxContext& context) {
  raised_ = false;
  ++softirqs_;
  std::int64_t budget = sysctls().netdev_budget;
  const std::int64_t time_limit = now + to_jiffies(sysctls().netdev_budget_usecs);
  NapiList list;
  NapiList repoll;
  in_net_rx_action_ = machine_.rules.polls_refilled_list;
  list.splice(poll_list_);
  // Ends: every poll takes from the budget, or completes and is not scheduled again by itself.
  for (;;) {
    if (list.empty()) {
      // A poll that used its whole weight waits in `repoll` for the next run: one pass only.
      if (!repoll.empty() || !in_net_rx_action_ || poll_list_.empty()) break;
      list.splice(poll_list_);
    }
    budget -= napi_poll(list.pop(), repoll, context);
    if (budget <= 0 || jiffies(context.clock.now()) >= time_limit) {
      ++time_squeeze_;
      break;
    }
  }
  in_net_rx_action_ = false;
  list.splice(poll_list_);  // what is left, what has come, what is to be polled again
  list.splice(repoll);
  poll_list_.splice(list);
  if (!poll_list_.empty() && !broken(Stage::softirq)) raised_ = true;
  net_rps_action(context.outside);
}

void SoftnetData::handle_softirqs(RxContext& context) {
  std::int64_t now = jiffies(context.clock.now());
  const std::int64_t end = now + to_jiffies(kMaxSoftirqTime);
  for (int run = 1;; ++run) {
    net_rx_action(now, context);
    if (!raised_) return;
    now = jiffies(context.clock.now());
    if (now >= end || run == kMaxSoftirqRestart) break;
  }
  if (std::exchange(ksoftirqd_running_, true)) return;
  ++ksoftirqd_wakeups_;
}

void SoftnetData::do_softirq(RxContext& context) {
  if (!raised_ || (ksoftirqd_running_ && machine_.rules.ksoftirqd_takes_over)) return;
  handle_softirqs(context);
}

void SoftnetData::run_ksoftirqd(RxContext& context) {
  if (raised_) handle_softirqs(context);
  ksoftirqd_running_ = raised_;
}

SoftnetCounters SoftnetData::counters() const {
  SoftnetCounters counters;
  counters.processed = processed_;
  counters.dropped = dropped_.load(std::memory_order_relaxed);
  counters.time_squeeze = time_squeeze_;
  counters.received_rps = received_rps_;
  counters.flow_limit_count = flow_limit_ != nullptr ? flow_limit_->count() : 0;
  counters.input_qlen = qlen_of(qlen_tail_.load(std::memory_order_relaxed));
  counters.process_qlen = process_queue_.size();
  counters.softirqs = softirqs_;
  counters.ksoftirqd_wakeups = ksoftirqd_wakeups_;
  return counters;
}

}  // namespace vethd

// The receive side of an emulated CPU: its backlog, and the softirq that polls it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/time.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/flow_limit.hpp"
#include "daemon/pipeline/napi.hpp"
#include "daemon/pipeline/rfs.hpp"
#include "daemon/pipeline/rules.hpp"
#include "daemon/pipeline/sysctls.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

class SoftnetData;

// kernel/softirq.c
constexpr int kMaxSoftirqRestart = 10;                   // MAX_SOFTIRQ_RESTART
constexpr std::chrono::milliseconds kMaxSoftirqTime{2};  // MAX_SOFTIRQ_TIME

/// What a machine is made from.
struct MachineSetup {
  MachineId id = {};
  const Rules& rules = kRules618;
  Sysctls sysctls = {};
  HashKey hash_key = {};
  bool inline_arrival = false;  // a softirq after each frame, as under a local sender
  std::uint32_t hz = 250;       // CONFIG_HZ: the grain of all time limits
  std::size_t cpus = 1;
};

/// One emulated kernel: its rules, and a softnet_data per CPU.
struct Machine {
  explicit Machine(const MachineSetup& setup);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  MachineId id;
  const Rules& rules;
  HashKey hash_key;
  bool inline_arrival;
  std::uint32_t hz;
  std::vector<std::unique_ptr<SoftnetData>> softnet_data;  // by CpuId
};

/// Per-CPU receive state: where a frame waits between the sending veth and its peer.
///
/// Emulates  include/linux/netdevice.h: struct softnet_data; net/core/dev.c: enqueue_to_backlog(),
///           process_backlog(), net_rx_action(), napi_poll(); kernel/softirq.c: __do_softirq() as
///           far as NET_RX goes, and its hand-off to ksoftirqd.
/// Units     queue lengths, quota, weight and budget in frames.
/// Threads   owned by its CPU's worker, but for what any worker of the machine does to a target:
///           reserve(), schedule_prep() of its backlog, input_queue_head().
/// Never     allocates while frames pass, or makes a system call. Time is a parameter.
class SoftnetData {
 public:
  enum class Enqueue : std::uint8_t { queued, dev_ready, cpu_backlog, flow_limit };

  SoftnetData(Machine& machine, CpuId cpu, std::size_t cpus, const Sysctls& sysctls,
              std::shared_ptr<SockFlowTable> sock_flow_table);

  [[nodiscard]] Machine& machine() const { return machine_; }
  [[nodiscard]] CpuId cpu() const { return cpu_; }
  [[nodiscard]] const Sysctls& sysctls() const { return sysctls_; }
  [[nodiscard]] bool has_flow_limit() const { return flow_limit_ != nullptr; }
  [[nodiscard]] SockFlowTable* sock_flow_table() const { return sock_flow_table_.get(); }

  /// New settings, between rounds; each CPU has its own copy, so that control can replace them one
  /// CPU after the other. A flow-limit table is made or freed as the CPU's bit says; one that is
  /// there keeps its length. sock_flow_table: of as many entries as the sysctl says, where that has
  /// changed; shared by all CPUs of the machine.
  void set(const Sysctls& sysctls, const std::shared_ptr<SockFlowTable>& sock_flow_table);

  /// Puts the frame on this CPU's own input_pkt_queue. The kernel drops on "longer than", not "as
  /// long as": max + 1 frames fit. Not queued: the frame is still in the caller's hand.
  Enqueue enqueue_to_backlog(Frame& frame, const std::byte* data, const Device& peer);
  /// The same for frames in a row, to a device that is running, where there is no flow limit: as
  /// many of the first as there is room for; returns how many. The rest is refused, and stays.
  std::size_t enqueue_to_backlog(FrameList& frames);
  /// The same for the CPU that RPS chose; called on the sending CPU's softnet_data.
  Enqueue enqueue_to_backlog(Frame& frame, const std::byte* data, const Device& peer, CpuId target,
                             RpsDevFlow* flow, Outside& outside);

  /// Takes in a frame that another CPU enqueued here; it has counted it in already.
  void enqueue_remote(Frame& frame);

  /// Emulates  rps_trigger_softirq(): another CPU's wake-up has arrived.
  void rps_trigger_softirq();

  /// Emulates  ____napi_schedule(), for whom schedule_prep() was true.
  void napi_schedule(Napi& napi);
  /// It will not be polled any more.
  void napi_forget(const Napi& napi) { poll_list_.remove(napi); }
  /// Calls visit(Napi&) for each that is to be polled besides the backlog. No other has frames.
  template <class Visit>
  void for_each_to_poll(Visit&& visit) const {
    poll_list_.for_each([&](Napi& napi) {
      if (&napi != &backlog_) visit(napi);
    });
  }

  /// Whether NET_RX is raised.
  [[nodiscard]] bool net_rx_pending() const { return raised_; }
  [[nodiscard]] bool ksoftirqd_running() const { return ksoftirqd_running_; }

  /// Bottom halves are enabled again: what is pending runs now, unless ksoftirqd has it.
  void do_softirq(RxContext& context);
  /// One run of the softirq, begun at `now` in jiffies: each poll once, within budget and time.
  void net_rx_action(std::int64_t now, RxContext& context);
  /// ksoftirqd's turn.
  void run_ksoftirqd(RxContext& context);

  /// The frames delivered so far have reached the receiver. RFS may send their flows elsewhere.
  void publish_head() { published_head_.store(head_, std::memory_order_release); }
  [[nodiscard]] std::uint32_t input_queue_head() const {
    return published_head_.load(std::memory_order_acquire);
  }

  void count_processed() { ++processed_; }
  /// jiffies, in ticks of the machine's HZ.
  [[nodiscard]] std::int64_t jiffies(Instant now) const { return now.time_since_epoch() / jiffy_; }

  /// Hands the frames of one path out of both queues, for its removal.
  template <class Match, class Take>
  void purge(Match&& match, Take&& take) {
    input_pkt_queue_.take_if(match, [&](Frame& frame) {
      qlen_tail_.fetch_sub(1, std::memory_order_relaxed);
      ++head_;
      take(frame);
    });
    process_queue_.take_if(match, [&](Frame& frame) {
      ++head_;
      take(frame);
    });
  }

  [[nodiscard]] FrameList& input_pkt_queue() { return input_pkt_queue_; }
  [[nodiscard]] FrameList& process_queue() { return process_queue_; }
  [[nodiscard]] SoftnetCounters counters() const;

 private:
  /// The backlog as a NAPI: process_backlog().
  class Backlog final : public Napi {
   public:
    explicit Backlog(SoftnetData& sd) : sd_(sd) {}
    std::int32_t poll(std::int32_t quota, RxContext& context) override {
      return sd_.process_backlog(quota, context);
    }

   private:
    SoftnetData& sd_;
  };

  Enqueue reserve(Frame& frame, const std::byte* data, SoftnetData& target, std::uint32_t& tail);
  bool skb_flow_limit(Frame& frame, const std::byte* data, std::uint32_t qlen);
  Enqueue refuse_not_running(Frame& frame, const std::byte* data, SoftnetData& target);
  void enqueue_here(Frame& frame);
  void napi_schedule_backlog();
  std::int32_t process_backlog(std::int32_t quota, RxContext& context);
  std::int32_t napi_poll(Napi& napi, NapiList& repoll, RxContext& context);
  void net_rps_action(Outside& outside);
  void handle_softirqs(RxContext& context);
  [[nodiscard]] std::int64_t to_jiffies(std::chrono::nanoseconds time) const {
    return (time + jiffy_ - std::chrono::nanoseconds(1)) / jiffy_;
  }

  // One frame in qlen_tail_: one longer, one more accepted.
  static constexpr std::uint64_t kOneAccepted = (std::uint64_t{1} << 32) + 1;
  static constexpr std::uint32_t qlen_of(std::uint64_t qlen_tail) {
    return static_cast<std::uint32_t>(qlen_tail);
  }
  static constexpr std::uint32_t tail_of(std::uint64_t qlen_tail) {
    return static_cast<std::uint32_t>(qlen_tail >> 32);
  }

  // The line other CPUs write.
  // Low half: frames in input_pkt_queue, those on their way included. High half:
  // input_queue_tail, frames ever accepted.
  alignas(64) std::atomic<std::uint64_t> qlen_tail_{0};
  std::atomic<std::uint64_t> dropped_{0};
  Backlog backlog_;
  // The line other CPUs read.
  alignas(64) std::atomic<std::uint32_t> published_head_{0};

  // The owner's.
  alignas(64) Machine& machine_;
  CpuId cpu_;
  std::chrono::nanoseconds jiffy_;
  Sysctls sysctls_;
  std::shared_ptr<SockFlowTable> sock_flow_table_;  // none: no RFS
  bool raised_ = false;                             // NET_RX_SOFTIRQ is pending
  bool in_net_rx_action_ = false;                   // only where the rules know it
  bool ksoftirqd_running_ = false;
  bool backlog_listed_ = false;  // on poll_list here, or being polled
  std::uint32_t head_ = 0;       // input_queue_head: frames ever taken off
  FrameList input_pkt_queue_{Holder::input_pkt_queue};
  FrameList process_queue_{Holder::process_queue};
  NapiList poll_list_;
  std::vector<CpuId> rps_ipi_list_;    // CPUs to wake: frames went to them, wake-ups have not
  std::vector<bool> on_rps_ipi_list_;  // by CpuId
  std::unique_ptr<FlowLimit> flow_limit_;
  std::uint64_t processed_ = 0;
  std::uint64_t time_squeeze_ = 0;
  std::uint64_t received_rps_ = 0;
  std::uint64_t softirqs_ = 0;
  std::uint64_t ksoftirqd_wakeups_ = 0;
};

// Inline: what every frame passes that stays on this CPU.

inline SoftnetData::Enqueue SoftnetData::reserve(Frame& frame, const std::byte* data,
                                                 SoftnetData& target, std::uint32_t& tail) {
  // Compared unsigned, as the kernel does. A place taken too many is given back at once; meanwhile
  // others can only be refused when the queue is full anyway.
  const auto max_backlog = static_cast<std::uint32_t>(sysctls().netdev_max_backlog);
  const std::uint64_t before = target.qlen_tail_.fetch_add(kOneAccepted, std::memory_order_relaxed);
  tail = tail_of(before) + 1;
  const bool full = qlen_of(before) > max_backlog && !broken(Stage::enqueue_to_backlog);
  if (!full && (flow_limit_ == nullptr || !skb_flow_limit(frame, data, qlen_of(before))))
    return Enqueue::queued;
  target.qlen_tail_.fetch_sub(kOneAccepted, std::memory_order_relaxed);
  target.dropped_.fetch_add(1, std::memory_order_relaxed);
  return full ? Enqueue::cpu_backlog : Enqueue::flow_limit;
}

inline void SoftnetData::napi_schedule_backlog() {
  // Whoever set SCHED before has the poll listed, or will.
  if (!backlog_listed_ && backlog_.schedule_prep()) {
    backlog_listed_ = true;
    napi_schedule(backlog_);
  }
}

inline void SoftnetData::enqueue_here(Frame& frame) {
  input_pkt_queue_.push(frame);
  napi_schedule_backlog();
}

inline SoftnetData::Enqueue SoftnetData::enqueue_to_backlog(Frame& frame, const std::byte* data,
                                                            const Device& peer) {
  if (!peer.running) [[unlikely]]
    return refuse_not_running(frame, data, *this);
  std::uint32_t tail = 0;
  const Enqueue enqueue = reserve(frame, data, *this, tail);
  if (enqueue == Enqueue::queued) enqueue_here(frame);
  return enqueue;
}

inline std::size_t SoftnetData::enqueue_to_backlog(FrameList& frames) {
  // As reserve() does for one.
  const std::uint64_t longest =
      std::uint64_t{static_cast<std::uint32_t>(sysctls().netdev_max_backlog)} + 1;
  const std::uint64_t wanted = frames.size();
  const std::uint64_t qlen =
      qlen_of(qlen_tail_.fetch_add(wanted * kOneAccepted, std::memory_order_relaxed));
  std::uint64_t accepted = wanted;
  if (qlen + wanted > longest && !broken(Stage::enqueue_to_backlog)) [[unlikely]] {
    accepted = qlen < longest ? longest - qlen : 0;
    const std::uint64_t refused = wanted - accepted;
    qlen_tail_.fetch_sub(refused * kOneAccepted, std::memory_order_relaxed);
    dropped_.fetch_add(refused, std::memory_order_relaxed);
    if (accepted == 0) return 0;
  }
  input_pkt_queue_.splice(frames, accepted);
  napi_schedule_backlog();
  return accepted;
}

}  // namespace vethd

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
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/rules.hpp"
#include "daemon/pipeline/sysctls.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

class SoftnetData;

/// How a frame and a wake-up reach another CPU. What lies behind it is the worker's business.
class RemoteCpu {
 public:
  virtual ~RemoteCpu() = default;
  /// Appends to what target's enqueue_remote() will take in. Owns the frame from here on.
  virtual void hand_over(Frame& frame, CpuId target) = 0;
  /// Emulates  net/core/dev.c: net_rps_send_ipi().
  virtual void send_ipi(CpuId target) = 0;
};

/// One emulated kernel: its rules and settings, and a softnet_data per CPU.
///
/// Threads  settings change only between rounds of all workers.
struct Machine {
  Machine(MachineId id, const Rules& rules, const Sysctls& sysctls, const HashKey& hash_key,
          bool inline_arrival, std::size_t cpus);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  MachineId id;
  const Rules& rules;
  Sysctls sysctls;
  HashKey hash_key;
  bool inline_arrival;  // a softirq after each frame, as under a local sender
  std::vector<std::unique_ptr<SoftnetData>> softnet_data;  // by CpuId
};

// What HZ the emulated kernels were built with: time limits have this granularity.
constexpr std::chrono::nanoseconds kJiffy = std::chrono::nanoseconds(std::chrono::seconds(1)) / 250;

/// Per-CPU receive state: where a frame waits between the sending veth and its peer.
///
/// Emulates  include/linux/netdevice.h: struct softnet_data; net/core/dev.c: enqueue_to_backlog(),
///           process_backlog(), net_rx_action(), napi_poll(), of 6.18.
/// Units     queue lengths, quota, weight and budget in frames.
/// Threads   owned by its CPU's worker, but for reserve() and claim(), which any worker of the
///           machine calls.
/// Never     allocates after construction, or makes a system call. Time is a parameter.
class SoftnetData {
 public:
  enum class Enqueue : std::uint8_t { queued, dev_ready, cpu_backlog };

  SoftnetData(Machine& machine, CpuId cpu, std::size_t cpus);

  [[nodiscard]] Machine& machine() const { return machine_; }
  [[nodiscard]] CpuId cpu() const { return cpu_; }

  /// Puts the frame on target's input_pkt_queue, called on the sending CPU's softnet_data. The
  /// kernel drops on "longer than", not "as long as": max + 1 frames fit.
  Enqueue enqueue_to_backlog(Frame& frame, const Device& peer, CpuId target, RemoteCpu& remote);

  /// Takes in a frame that another CPU enqueued here; it has counted it in already.
  void enqueue_remote(Frame& frame);

  /// Emulates  rps_trigger_softirq(): another CPU's wake-up has arrived.
  void rps_trigger_softirq();

  /// Whether NET_RX is raised: there is a backlog to poll or a wake-up to send.
  [[nodiscard]] bool net_rx_pending() const { return scheduled_here_ || !rps_ipi_list_.empty(); }

  /// One run of the softirq: polls within budget and time, appends what is delivered to `out`.
  void net_rx_action(const Clock& clock, RemoteCpu& remote, FrameList& out);

  /// Hands the frames of one path out of both queues, for its removal.
  template <class Match, class Take>
  void purge(Match&& match, Take&& take) {
    input_pkt_queue_.take_if(match, [&](Frame& frame) {
      qlen_.fetch_sub(1, std::memory_order_relaxed);
      take(frame);
    });
    process_queue_.take_if(match, take);
  }

  [[nodiscard]] FrameList& input_pkt_queue() { return input_pkt_queue_; }
  [[nodiscard]] FrameList& process_queue() { return process_queue_; }
  [[nodiscard]] SoftnetCounters counters() const;

 private:
  /// Takes a place on input_pkt_queue, for any worker. False: over netdev_max_backlog.
  bool reserve();
  /// test_and_set_bit(NAPI_STATE_SCHED). True for whoever must see to it that the poll runs.
  bool claim() { return !sched_.exchange(true, std::memory_order_acq_rel); }

  std::uint32_t process_backlog(std::uint32_t quota, RemoteCpu& remote, FrameList& out);
  void net_rps_action(RemoteCpu& remote);

  // The line other CPUs write.
  alignas(64) std::atomic<std::uint32_t> qlen_{0};  // input_pkt_queue, frames on their way included
  std::atomic<bool> sched_{false};                  // NAPI_STATE_SCHED of the backlog
  std::atomic<std::uint64_t> dropped_{0};

  // The owner's.
  alignas(64) Machine& machine_;
  CpuId cpu_;
  bool scheduled_here_ = false;  // the backlog is on poll_list
  std::uint32_t backlog_weight_;
  FrameList input_pkt_queue_{Holder::input_pkt_queue};
  FrameList process_queue_{Holder::process_queue};
  std::vector<CpuId> rps_ipi_list_;    // CPUs to wake: frames went to them, wake-ups have not
  std::vector<bool> on_rps_ipi_list_;  // by CpuId
  std::uint64_t processed_ = 0;
  std::uint64_t time_squeeze_ = 0;
  std::uint64_t received_rps_ = 0;
};

}  // namespace vethd

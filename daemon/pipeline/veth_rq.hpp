// A receive queue of a veth that polls: with XDP or GRO the peer's frames wait in its ring.
#pragma once

#include <atomic>
#include <cstdint>

#include "daemon/pipeline/gro.hpp"
#include "daemon/pipeline/napi.hpp"
#include "daemon/pipeline/ptr_ring.hpp"
#include "daemon/pipeline/rules.hpp"
#include "daemon/pipeline/send_end.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

class Arena;
struct Path;

/// Emulates  drivers/net/veth.c: struct veth_rq, veth_xdp_rx(), __veth_xdp_flush(), veth_poll(),
///           veth_xdp_rcv(); include/net/gro.h: napi_gro_receive(), gro_normal_list(). XDP itself
///           runs where the frame is written, in the kernel's TAP, and must see frames as they were
///           sent: GRO is left out while there is a program.
/// Threads   a queue has the worker that reads the sender's queue of the same index. put() and
///           kick() may run beside poll() nevertheless: the mask protocol is the kernel's.
class VethRq final : public Napi {
 public:
  VethRq(Path& path, const Rules& rules, QueueId queue, const Arena& arena);

  /// Into the ring. False: full.
  bool put(Frame& frame) { return ring_.produce(frame); }
  [[nodiscard]] bool full() const { return ring_.full(); }

  /// After each put(): whether the poll must be scheduled, on the CPU of the caller. The mask
  /// stands for an interrupt mask: it saves the producer the work while the poll runs.
  [[nodiscard]] bool kick() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the ring first, then the mask
    if (rx_notify_masked_.load(std::memory_order_relaxed) || !schedule_prep()) return false;
    rx_notify_masked_.store(true, std::memory_order_relaxed);
    return true;
  }

  std::int32_t poll(std::int32_t quota, RxContext& context) override;
  void flush_gro(RxContext& context) override;

  /// The sender's queue of this index must not be read until a poll says so.
  void stop_tx_queue() { tx_stopped_ = true; }
  [[nodiscard]] bool tx_queue_stopped() const { return tx_stopped_; }

  /// napi_disable(), of a queue that has been purged: whether the sender's queue was stopped.
  bool disable() {
    clear_sched();
    rx_notify_masked_.store(false, std::memory_order_relaxed);
    return std::exchange(tx_stopped_, false);
  }

  /// Takes every frame out of ring and GRO, for the end of the queue: take(Frame&), in hand.
  template <class Take>
  void purge(Take&& take) {
    while (Frame* frame = ring_.consume()) take(*frame);
    gro_.take_if([](const Frame&) { return true; }, take);
  }
  /// Calls visit(Frame&) for each frame in the ring.
  template <class Visit>
  void for_each_in_ring(Visit&& visit) {
    ring_.for_each(visit);
  }
  /// Calls visit(const Frame&) for each frame that GRO holds.
  template <class Visit>
  void for_each_in_gro(Visit&& visit) const {
    gro_.for_each(visit);
  }

  [[nodiscard]] const RqCounters& counters() const { return counters_; }
  [[nodiscard]] QueueId queue() const { return queue_; }

  /// Of the frames that have arrived at the sender's queue of this index, how many are sent on now.
  std::size_t batch(const FrameList& waiting, std::size_t most) {
    return send_end_.batch(waiting, most, arena_);
  }

 private:
  [[nodiscard]] bool has_gro() const;
  [[nodiscard]] bool keeps_over_polls() const;
  /// Emulates  skb_orphan() in veth_xdp_rcv_skb(): the sending socket goes, and its cgroup.
  void orphan(Frame& frame);
  [[nodiscard]] std::int64_t jiffy(const RxContext& context) const;
  void napi_gro_receive(Frame& frame, std::int64_t jiffy, RxContext& context);
  void netif_receive(Frame& frame, RxContext& context);
  void netif_receive_list(RxContext& context);

  Path& path_;
  QueueId queue_;
  const Arena& arena_;
  SendEnd send_end_;
  PtrRing ring_;
  std::atomic<bool> rx_notify_masked_{false};
  bool tx_stopped_ = false;
  Gro gro_;
  FrameList passed_{Holder::gro_hold};  // what GRO has let go of
  RqCounters counters_;
};

}  // namespace vethd

// Something that is polled in a softirq: a CPU's backlog, or a receive queue of a veth.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/core/time.hpp"
#include "daemon/frame/list.hpp"

namespace vethd {

constexpr std::int32_t kNapiPollWeight = 64;  // NAPI_POLL_WEIGHT, include/linux/netdevice.h

struct RxContext;

/// Emulates  struct napi_struct: its NAPI_STATE_SCHED bit, its weight, its poll.
/// Threads   polled and listed by one CPU's worker; schedule_prep() by any.
class Napi {
 public:
  virtual ~Napi() = default;
  Napi() = default;
  Napi(const Napi&) = delete;
  Napi& operator=(const Napi&) = delete;

  /// Delivers at most quota frames; signed, as in the kernel, where a sysctl may make it anything.
  /// Fewer than quota: the poll has completed, and may have been scheduled again since.
  virtual std::int32_t poll(std::int32_t quota, RxContext& context) = 0;
  /// Its whole weight was used: GRO lets go of what it may not keep into the next poll.
  virtual void flush_gro(RxContext& /*context*/) {}

  /// test_and_set_bit(NAPI_STATE_SCHED). True for whoever must see to it that it is polled.
  bool schedule_prep() { return !sched_.exchange(true, std::memory_order_seq_cst); }
  void clear_sched() { sched_.exchange(false, std::memory_order_seq_cst); }
  [[nodiscard]] bool is_scheduled() const { return sched_.load(std::memory_order_acquire); }

  std::int32_t weight = kNapiPollWeight;

 private:
  friend class NapiList;
  std::atomic<bool> sched_{false};
  bool listed_ = false;
  Napi* next_ = nullptr;
};

/// A poll_list: in order, each at most once.
class NapiList {
 public:
  [[nodiscard]] bool empty() const { return head_ == nullptr; }

  void push(Napi& napi) {
    invariant(!std::exchange(napi.listed_, true), "a NAPI is on one list");
    napi.next_ = nullptr;
    (tail_ != nullptr ? tail_->next_ : head_) = &napi;
    tail_ = &napi;
  }

  Napi& pop() {
    invariant(head_ != nullptr, "only a listed NAPI is polled");
    Napi& napi = *std::exchange(head_, head_->next_);
    if (head_ == nullptr) tail_ = nullptr;
    napi.listed_ = false;
    return napi;
  }

  /// Appends everything of another list, which is then empty.
  void splice(NapiList& other) {
    if (other.empty()) return;
    (tail_ != nullptr ? tail_->next_ : head_) = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
  }

  /// Calls visit(Napi&) in order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (Napi* napi = head_; napi != nullptr; napi = napi->next_) visit(*napi);
  }

  /// Takes one off, wherever it is, if it is on this list.
  void remove(const Napi& napi) {
    NapiList kept;
    while (!empty()) {
      Napi& next = pop();
      if (&next != &napi) kept.push(next);
    }
    splice(kept);
  }

 private:
  Napi* head_ = nullptr;
  Napi* tail_ = nullptr;
};

/// How a frame, a wake-up or a queue's restart gets where this CPU cannot reach. What lies behind
/// it is the worker's business.
class Outside {
 public:
  virtual ~Outside() = default;
  /// Appends to what target's enqueue_remote() will take in. Owns the frame from here on.
  virtual void hand_over(Frame& frame, CpuId target) = 0;
  /// Emulates  net/core/dev.c: net_rps_send_ipi().
  virtual void send_ipi(CpuId target) = 0;
  /// The sender's queue is read again. Emulates  netif_tx_wake_queue().
  virtual void wake_queue(PathId path, QueueId queue) = 0;
  /// A frame that ends here, counted already.
  virtual void release(Frame& frame) = 0;
};

/// What a poll works with besides its own queues.
struct RxContext {
  const Clock& clock;
  Outside& outside;
  FrameList& delivered;  // to the receiver's stack: what the round writes
};

}  // namespace vethd

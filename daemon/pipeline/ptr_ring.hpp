// The ring between a sending veth and the NAPI of its peer.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "daemon/frame/frame.hpp"

namespace vethd {

/// Emulates  include/linux/ptr_ring.h: a slot is free when it holds nothing, and the consumer
///           empties slots a batch at a time. So the ring can refuse frames while up to a batch of
///           its slots have been consumed already.
/// Shape     VETH_RING_SIZE slots, a batch of two cache lines.
/// Threads   one producer, one consumer.
class PtrRing {
 public:
  static constexpr std::size_t kSlots = 256;  // VETH_RING_SIZE, drivers/net/veth.c
  static constexpr std::size_t kBatch = 16;   // 2 * SMP_CACHE_BYTES / sizeof(void *)

  /// ptr_ring_full(), the producer's.
  [[nodiscard]] bool full() const {
    return slots_[producer_].load(std::memory_order_acquire) != nullptr;
  }

  /// ptr_ring_produce(). False: full.
  bool produce(Frame& frame) {
    if (full()) return false;
    frame.holder = Holder::napi_ring;
    slots_[producer_].store(&frame, std::memory_order_release);
    producer_ = (producer_ + 1) % kSlots;
    return true;
  }

  /// __ptr_ring_consume(), or nullptr.
  Frame* consume() {
    Frame* const frame = peek();
    if (frame == nullptr) return nullptr;
    frame->holder = Holder::in_hand;
    ++head_;
    if (head_ - tail_ >= kBatch || head_ >= kSlots) {
      // Backwards, so that the producer, who waits for the oldest, finds the whole batch free.
      for (std::size_t i = head_; i-- > tail_;) slots_[i].store(nullptr, std::memory_order_release);
      tail_ = head_;
      if (head_ >= kSlots) head_ = tail_ = 0;
    }
    return frame;
  }

  /// __ptr_ring_empty(), the consumer's.
  [[nodiscard]] bool empty() const { return peek() == nullptr; }

  /// Calls visit(Frame&) for each frame in it, oldest first. The consumer's, while nobody produces.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t i = 0; i < kSlots; ++i) {
      const std::size_t slot = (head_ + i) % kSlots;
      if (slot >= tail_ && slot < head_) break;  // consumed, not emptied yet
      Frame* const frame = slots_[slot].load(std::memory_order_acquire);
      if (frame == nullptr) break;
      visit(*frame);
    }
  }

 private:
  [[nodiscard]] Frame* peek() const { return slots_[head_].load(std::memory_order_acquire); }

  std::array<std::atomic<Frame*>, kSlots> slots_{};
  alignas(64) std::size_t producer_ = 0;
  alignas(64) std::size_t head_ = 0;  // next to consume
  std::size_t tail_ = 0;              // first consumed, not emptied
};

}  // namespace vethd

// A bounded queue between exactly two threads.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace vethd {

/// Single producer, single consumer; wait-free.
///
/// Shape    capacity is rounded up to a power of two; the slots are untouched memory until used.
/// Threads  push by one thread, pop by another; nothing else.
template <class T>
class SpscQueue {
 public:
  explicit SpscQueue(std::size_t capacity)
      : mask_(static_cast<std::uint32_t>(std::bit_ceil(capacity) - 1)),
        slots_(std::make_unique_for_overwrite<T[]>(mask_ + 1)) {}

  /// False when full: the value stays with the caller.
  bool push(T value) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) return false;
    }
    slots_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  std::optional<T> pop() {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return std::nullopt;
    std::optional<T> value(std::move(slots_[head & mask_]));
    head_.store(head + 1, std::memory_order_release);
    return value;
  }

  /// For the consumer: exact. For anybody else: a moment ago.
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

 private:
  std::uint32_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(64) std::atomic<std::uint32_t> tail_{0};  // producer's line
  std::uint32_t head_seen_ = 0;
  alignas(64) std::atomic<std::uint32_t> head_{0};  // consumer's line
};

}  // namespace vethd

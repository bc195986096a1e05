// A full backlog is shared fairly: a flow with more than half of the recent arrivals is refused.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vethd {

/// Multiplicative hashing to the top `bits` bits, 1..32.
///
/// Emulates  include/linux/hash.h: hash_32(), GOLDEN_RATIO_32.
[[nodiscard]] constexpr std::uint32_t hash_32(std::uint32_t value, std::uint32_t bits) {
  return (value * 0x61C88647U) >> (32 - bits);
}

/// Which entry of a table of 2^n entries a flow uses. spread: hash_32(); else the low bits.
[[nodiscard]] constexpr std::uint32_t flow_slot(std::uint32_t hash, std::uint32_t entries,
                                                bool spread) {
  if (!spread || entries == 1) return hash & (entries - 1);
  return hash_32(hash, static_cast<std::uint32_t>(std::countr_zero(entries)));
}

/// The recent history of one enqueuing CPU.
///
/// Emulates  net/core/dev.h: struct sd_flow_limit; net/core/dev.c: skb_flow_limit(), from where the
///           queue is known to be half full. A fresh history is full of bucket 0.
class FlowLimit {
 public:
  static constexpr std::size_t kHistory = 128;  // FLOW_LIMIT_HISTORY

  /// Shape  table_len: a power of two.
  explicit FlowLimit(std::uint32_t table_len) : buckets_(table_len) {}

  /// Whether the flow with this hash is to be refused. It stays in the history either way.
  bool exceeded(std::uint32_t hash, bool spread) {
    const auto entries = static_cast<std::uint32_t>(buckets_.size());
    const std::uint32_t now = flow_slot(hash, entries, spread);
    const std::uint32_t before = history_[head_];
    history_[head_] = static_cast<std::uint16_t>(now);
    head_ = (head_ + 1) % kHistory;
    if (buckets_[before] != 0) --buckets_[before];
    if (++buckets_[now] <= kHistory / 2) return false;
    ++count_;
    return true;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::array<std::uint16_t, kHistory> history_{};
  std::size_t head_ = 0;
  std::vector<std::uint8_t> buckets_;
  std::uint64_t count_ = 0;  // frames refused
};

}  // namespace vethd

// How much one source may bring at a time, so that nobody waits long for the next.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace vethd {

/// What a source brings is written in the next wait(), and the receiver's own stack runs inside
/// each write: 1 us for a small datagram, 100 us for 64 of them in one or where the receiver has
/// thousands of rules. Counting frames alone would let one source hold up its neighbours for
/// milliseconds. So each has a time, and what it costs is measured.
///
/// Units  Frame::weight(), time of the wall clock. Of some turns the quickest counts: in the others
///        the worker may have had no CPU.
/// Never  reads a clock.
class Turn {
 public:
  // A neighbour waits for one turn of each source that has more than it may bring. veth's own
  // softirq goes on for 2 ms.
  static constexpr std::chrono::nanoseconds kLength = std::chrono::microseconds(200);
  // Less is not worth a look at the clock, as long as it is no good part of a turn.
  static constexpr std::uint32_t kWorthALook = 8;

  /// The weight that fits in a turn; one frame may exceed it.
  [[nodiscard]] std::uint32_t share() const { return share_; }
  /// Whether what it has brought is to be written by itself, and measured: what takes a good part
  /// of a turn, as far as is known, and of the rest some, so that this stays known.
  [[nodiscard]] bool ends_round(std::uint32_t weight) {
    if (kParts * weight >= share_) return true;
    return weight >= kWorthALook && (share_ == kMost || ++passed_ % kSome == 0);
  }

  /// So much was brought, and writing it took so long.
  void measured(std::uint32_t weight, std::chrono::nanoseconds elapsed) {
    quickest_ = std::min(quickest_, elapsed / weight);
    if (++seen_ < kTurns) return;
    const auto units = kLength / std::max(quickest_, std::chrono::nanoseconds(1));
    share_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(units, 1, kMost - 1));
    quickest_ = std::chrono::nanoseconds::max();
    seen_ = 0;
  }

 private:
  static constexpr unsigned kTurns = 8;
  static constexpr std::uint32_t kParts = 4;
  static constexpr std::uint32_t kSome = 16;
  static constexpr std::uint32_t kMost = 1U << 24;

  std::uint32_t share_ = kMost;
  std::uint32_t seen_ = 0;
  std::uint32_t passed_ = 0;
  std::chrono::nanoseconds quickest_ = std::chrono::nanoseconds::max();  // per unit
};

}  // namespace vethd

// Numbers that must not be mixed up, each with a type of its own.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace vethd {

template <class Tag, std::unsigned_integral Rep>
struct Id {
  Rep value{};
  friend constexpr auto operator<=>(Id, Id) = default;
};

using CpuId = Id<struct CpuTag, std::uint32_t>;  // emulated CPU = worker, not the core it runs on
using MachineId =
    Id<struct MachineTag, std::uint32_t>;              // emulated kernel; 0 is the default machine
using PairId = Id<struct PairTag, std::uint32_t>;      // slot of a pair, reused after removal
using QueueId = Id<struct QueueTag, std::uint16_t>;    // rx/tx queue of one device, 0-based
using FrameId = Id<struct FrameIdTag, std::uint32_t>;  // slot in the frame table
using FrameAddr =
    Id<struct FrameAddrTag, std::uint64_t>;  // byte offset into the arena, never a pointer

/// The two ends of a pair, named as in the configuration.
enum class Side : std::uint8_t { a, b };
constexpr std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }
constexpr Side peer_of(Side side) { return side == Side::a ? Side::b : Side::a; }

/// One direction of one pair. Frames that enter at side a travel path 2 * pair, at b the next.
using PathId = Id<struct PathTag, std::uint32_t>;
constexpr PathId path_from(PairId pair, Side from) {
  return {pair.value * 2 + (from == Side::b ? 1U : 0U)};
}
constexpr PairId pair_of(PathId path) { return {path.value / 2}; }
constexpr Side entry_of(PathId path) { return path.value % 2 == 0 ? Side::a : Side::b; }
constexpr PathId reverse_of(PathId path) { return {path.value ^ 1U}; }

}  // namespace vethd

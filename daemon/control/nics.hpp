// Network devices that AF_XDP ends take over: what must be so before, and is again after.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/janitor.hpp"

namespace vethd {

struct PairEnd;
struct VethPair;

// Chunks in a socket's fill ring before its queue starts: as many as igb has descriptors.
constexpr std::size_t kFirstChunks = 256;

/// What AF_XDP sockets are opened with.
struct NicMemory {
  std::span<std::byte> arena;
  /// Of one end, by queue: chunks from the pool of the worker that will own it, taken before that
  /// worker runs.
  using FirstChunks = std::vector<std::vector<FrameAddr>>;
  std::vector<std::array<FirstChunks, 2>> first_chunks;  // by PairId and Side
};

/// Looks whether the device is fit, stops its VLAN stripping, and opens its sockets; their memory
/// is that of all frames. No frame comes yet.
///
/// Errors  the device is down, holds the default route, or has other queues than the configuration
///         says; no mode that was asked for can be had. The device is left as it was.
Result<void> open_nic(PairEnd& end, Janitor& janitor, std::span<std::byte> arena,
                      const NicMemory::FirstChunks& first_chunks);

/// Looks on how many queues the device receives now, `ethtool -L`, and says so when that has
/// changed.
void look_at_queues(PairEnd& end);

/// Closes the sockets, if there are any, and leaves the device as it was.
void close_nic(PairEnd& end, Janitor& janitor);

}  // namespace vethd

// A steady stream of small datagrams through a quiet pair: what is lost, and how long the rest
// takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "daemon/core/result.hpp"

namespace vethd::bench {

struct Stream {
  std::string from_netns;
  std::string to_netns;
  std::string to_address;  // IPv4, of the receiving device
  double fps = 2000;
  std::chrono::nanoseconds duration{0};
};

/// Latencies are one way: from before the send call until the receive call has returned, both read
/// from CLOCK_MONOTONIC, which is the same in all namespaces.
struct Probed {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t reordered = 0;  // arrived after one that was sent later
  double sent_fps = 0;          // below Stream::fps where the sender was not let run
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds p999{0};
  std::chrono::nanoseconds max{0};
};

/// Sends at absolute times and waits for what arrives within a second; 64-byte frames. Nobody is
/// pinned, and nobody has a priority: the stream is a user's.
///
/// Threads  sends on the calling thread, receives on one of its own.
/// Errors   a failing socket, or one that overflowed.
/// Never    because nothing arrives: then all is lost, and there are no latencies.
Result<Probed> probe(const Stream& stream);

}  // namespace vethd::bench

// Round-trip times: one UDP frame at a time, there and back, between blocking sockets.
#pragma once

#include <chrono>
#include <cstdint>

#include "bench/path/one_way.hpp"
#include "daemon/core/result.hpp"

namespace vethd::bench {

struct RoundTrips {
  std::uint64_t count = 0;  // samples behind the percentiles
  std::uint64_t lost = 0;   // answers that did not come within the time limit
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds p999{0};
};

/// Plays for the given time, after a warm-up, with the client at the sending end.
Result<RoundTrips> measure_round_trips(const Ends& ends, std::chrono::nanoseconds duration);

}  // namespace vethd::bench

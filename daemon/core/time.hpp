// Time as a parameter: whoever needs "now" is given it.
#pragma once

#include <chrono>

namespace vethd {

struct MonotonicTag {  // no now(): nothing can read time from the type
  using rep = std::chrono::nanoseconds::rep;
  using period = std::chrono::nanoseconds::period;
  using duration = std::chrono::nanoseconds;
  static constexpr bool is_steady = true;
};
using Instant = std::chrono::time_point<MonotonicTag, std::chrono::nanoseconds>;

/// The only source of time in the daemon; the simulation has its own.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
};

/// CLOCK_MONOTONIC.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    return Instant{std::chrono::steady_clock::now().time_since_epoch()};
  }
};

}  // namespace vethd

// One-way load in one direction of a path, or in both at once, and what it cost.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bench/path/one_way.hpp"
#include "bench/path/usage.hpp"
#include "daemon/core/result.hpp"

namespace vethd::bench {

struct Outcome {
  std::vector<Tally> ways;  // there, and back if both were loaded
  CpuTime cpu;              // from before the first frame was sent until the last had arrived

  [[nodiscard]] std::uint64_t sent() const { return sum<std::uint64_t>(&Tally::sent); }
  [[nodiscard]] std::uint64_t received() const { return sum<std::uint64_t>(&Tally::received); }
  [[nodiscard]] std::uint64_t reordered() const { return sum<std::uint64_t>(&Tally::reordered); }
  [[nodiscard]] double sent_fps() const { return sum<double>(&Tally::sent_fps); }
  [[nodiscard]] double received_fps() const { return sum<double>(&Tally::received_fps); }
  /// What was sent if every direction is counted as the slowest: a load is as good as its worse
  /// half.
  [[nodiscard]] double even_fps() const {
    return static_cast<double>(ways.size()) *
           std::ranges::min(ways, {}, &Tally::sent_fps).sent_fps();
  }
  [[nodiscard]] double worst_loss() const {
    return std::ranges::max(ways, {}, &Tally::lost_share).lost_share();
  }

 private:
  template <class Number, class Member>
  [[nodiscard]] Number sum(Member member) const {
    Number total{};
    for (const Tally& way : ways) total += std::invoke(member, way);
    return total;
  }
};

/// Threads  a sender and a sink for each direction; the calling thread is the first sender.
class Traffic {
 public:
  /// from_address: where frames back go to; empty: none go back. On the way back sender and sink
  /// change CPUs, so that each CPU has one of both.
  static Result<Traffic> open(const Ends& ends, const std::string& from_address);

  /// The load is that of all directions together.
  Result<Outcome> trial(const Load& load, std::span<const pid_t> forwarder);

 private:
  explicit Traffic(std::vector<OneWay> ways) : ways_(std::move(ways)) {}

  std::vector<OneWay> ways_;
};

}  // namespace vethd::bench

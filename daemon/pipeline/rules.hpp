// What differs between the kernels a machine can emulate: one table per version, bound when the
// machine is made, so that no stage ever asks for a version.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace vethd {

struct Rules {
  std::string_view kernel;
  // Names, in scrub order, which fields skb_scrub_packet() clears only when the namespace changes.
  bool tstamp_kept_within_netns;  // and, when it changes, if it is a delivery time
};

/// Linux 6.18.
constexpr Rules kRules618{.kernel = "6.18", .tstamp_kept_within_netns = true};

}  // namespace vethd

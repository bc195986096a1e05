#include "daemon/pipeline/broken.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "daemon/core/panic.hpp"

#ifndef VETHD_BREAKABLE
#error "only breakable builds have something to choose"
#endif

namespace vethd {
namespace {

// In the order of Stage.
constexpr std::array<std::string_view, 17> kNames = {"none",
                                                     "forward",
                                                     "scrub",
                                                     "eth_type_trans",
                                                     "csum",
                                                     "rps",
                                                     "enqueue_to_backlog",
                                                     "handover",
                                                     "net_rx_action",
                                                     "process_backlog",
                                                     "delivery",
                                                     "flow_limit",
                                                     "softirq",
                                                     "mask",
                                                     "wake_queue",
                                                     "gro",
                                                     "coalesce"};

Stage chosen() {
  const char* const name =
      std::getenv("VETHD_BREAK");  // NOLINT(concurrency-mt-unsafe): before main
  const auto* const found = std::ranges::find(kNames, name != nullptr ? name : "none");
  invariant(found != kNames.end(), "VETHD_BREAK names a stage");
  return static_cast<Stage>(found - kNames.begin());
}

const Stage kBroken = chosen();

}  // namespace

bool broken(Stage stage) { return stage == kBroken; }

}  // namespace vethd

#include "daemon/stats/veth_stats.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/pipeline/rules.hpp"

namespace vethd {
namespace {

// Ten frames of 100 bytes meet a program that sends them back to an end without one: what a kernel
// veth showed (6.18).
TEST(VethStats, CountWhatCouldNotBeSentBackAtBothEnds) {
  const VethDirection forth{.counters = {},
                            .rq = {{.xdp_packets = 10, .xdp_bytes = 860}},
                            .receiver_rx_dropped = 10,  // the TAP's own count
                            .receiver_xdp_tx_errors = 10};
  const VethDirection back{};
  const VethLinkStats sender = veth_link_stats(kRules618.stats, forth, back);
  EXPECT_EQ(sender.tx_packets, 10U);
  EXPECT_EQ(sender.rx_dropped, 10U);
  EXPECT_EQ(sender.tx_dropped, 0U);
  const VethLinkStats receiver = veth_link_stats(kRules618.stats, back, forth);
  EXPECT_EQ(receiver.rx_packets, 10U);
  EXPECT_EQ(receiver.rx_dropped, 0U);
  EXPECT_EQ(receiver.tx_dropped, 10U);
  const auto shown =
      veth_ethtool_stats(kRules618.stats, 1, 1, forth.rq, {.program = true, .tx_errors = 10});
  const auto value_of = [&](const char* name) {
    const auto found = std::ranges::find(shown, name, [](const auto& stat) { return stat.first; });
    return found == shown.end() ? std::uint64_t{4711} : found->second;
  };
  EXPECT_EQ(value_of("rx_queue_0_xdp_tx_errors"), 10U);
  EXPECT_EQ(value_of("rx_queue_0_xdp_tx"), 0U);
  EXPECT_EQ(value_of("rx_queue_0_xdp_drops"), 0U);
}

// 5.4 knows no such counter.
TEST(VethStats, Linux54LeavesOutWhatCouldNotBeSentBack) {
  const VethDirection forth{
      .counters = {}, .rq = {}, .receiver_rx_dropped = 10, .receiver_xdp_tx_errors = 10};
  EXPECT_EQ(veth_link_stats(kRules54.stats, forth, {}).rx_dropped, 0U);
  EXPECT_EQ(veth_link_stats(kRules54.stats, {}, forth).tx_dropped, 0U);
  EXPECT_EQ(veth_link_stats(kRules54.stats, {}, forth).rx_dropped, 0U);
}

}  // namespace
}  // namespace vethd

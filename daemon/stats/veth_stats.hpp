// The ledger seen as a veth would show it: what ip -s link and ethtool -S print of each end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/stats/counters.hpp"

namespace vethd {

/// What differs between kernels.
struct VethStatsRules {
  bool drops_counted_twice;  // the receiver shows its peer's drops beside its own
  bool xdp_drops_counted;    // as rx_dropped
  enum class Ethtool : std::uint8_t { peer_only, rx_basic, all } ethtool;
};

/// One direction, with what the sending and the receiving device themselves have counted.
struct VethDirection {
  Counters counters;
  std::vector<RqCounters> rq;              // by the receiver's queue; empty: has never polled
  std::uint64_t sender_tx_dropped = 0;     // by the TAP or its qdisc, before it was read
  std::uint64_t receiver_rx_dropped = 0;   // by the TAP or its stack, once it was written
  std::uint64_t receiver_xdp_dropped = 0;  // by an XDP program; of those unless it ran generically
  std::uint64_t receiver_xdp_tx_errors = 0;  // likewise: what it could not send back
};

/// `ip -s link`: struct rtnl_link_stats64 as far as veth fills it in.
struct VethLinkStats {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t rx_dropped = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_errors = 0;
  std::uint64_t tx_dropped = 0;
};

/// Emulates  drivers/net/veth.c: veth_get_stats64(), with net/core/dev.c: dev_get_stats().
VethLinkStats veth_link_stats(const VethStatsRules& rules, const VethDirection& sent,
                              const VethDirection& received);

/// The program on the frames received, if there is one, and its verdicts.
struct VethXdp {
  bool program = false;
  bool known = true;  // the verdicts
  std::uint64_t redirected = 0;
  std::uint64_t dropped = 0;
  std::uint64_t sent_back = 0;  // XDP_TX, but for
  std::uint64_t tx_errors = 0;  // those that the other end's device did not take
};

/// `ethtool -S`, in its order. Left out is what cannot be known here: which queue a program's
/// verdict belongs to where there are several, what became of frames it sent elsewhere, whether a
/// frame was redirected into the device.
///
/// Emulates  drivers/net/veth.c: veth_get_ethtool_stats().
std::vector<std::pair<std::string, std::uint64_t>> veth_ethtool_stats(
    const VethStatsRules& rules, int peer_ifindex, std::size_t queues,
    const std::vector<RqCounters>& received, const VethXdp& xdp);

}  // namespace vethd

#include "daemon/stats/veth_stats.hpp"

namespace vethd {
namespace {

// Every drop of the ledger that veth_xmit() reports to the stack as NET_XMIT_DROP.
std::uint64_t dropped_by_veth_xmit(const Counters& counters) {
  return counters.drop_length + counters.drop_receiver_down + counters.drop_not_forwardable +
         counters.drop_ring_full + counters.drop_dev_ready + counters.drop_cpu_backlog +
         counters.drop_flow_limit;
}

// dev->rx_dropped of the receiver: dev_core_stats_rx_dropped_inc() and its predecessors.
std::uint64_t dropped_by_core(const Counters& counters) {
  return counters.drop_receiver_down + counters.drop_not_forwardable + counters.drop_dev_ready +
         counters.drop_cpu_backlog + counters.drop_flow_limit + counters.drop_napi_backlog;
}

RqCounters sum_of(const std::vector<RqCounters>& queues) {
  RqCounters sum;
  for (const RqCounters& queue : queues) sum += queue;
  return sum;
}

std::uint64_t less(std::uint64_t whole, std::uint64_t part) {
  return whole > part ? whole - part : 0;
}

}  // namespace

VethLinkStats veth_link_stats(const VethStatsRules& rules, const VethDirection& sent,
                              const VethDirection& received) {
  VethLinkStats stats;
  const RqCounters polled_there = sum_of(sent.rq);
  stats.tx_packets = sent.counters.netif_rx_frames + polled_there.xdp_packets;
  stats.tx_bytes = sent.counters.netif_rx_bytes + polled_there.xdp_bytes;
  stats.tx_dropped = dropped_by_veth_xmit(sent.counters) + sent.sender_tx_dropped;
  if (rules.ethtool == VethStatsRules::Ethtool::all)
    stats.tx_dropped += received.receiver_xdp_tx_errors;

  const RqCounters polled_here = sum_of(received.rq);
  stats.rx_packets = received.counters.netif_rx_frames + polled_here.xdp_packets;
  stats.rx_bytes = received.counters.netif_rx_bytes + polled_here.xdp_bytes;
  // A TAP counts what it refuses while it is down, and what a program drops; a veth does not.
  const std::uint64_t not_of_veth = received.counters.drop_write_eio +
                                    received.receiver_xdp_tx_errors +
                                    (rules.xdp_drops_counted ? 0 : received.receiver_xdp_dropped);
  stats.rx_dropped =
      dropped_by_core(received.counters) + less(received.receiver_rx_dropped, not_of_veth);
  if (rules.ethtool == VethStatsRules::Ethtool::all)
    stats.rx_dropped += sent.receiver_xdp_tx_errors;
  if (rules.drops_counted_twice) stats.rx_dropped += dropped_by_veth_xmit(received.counters);
  return stats;
}

std::vector<std::pair<std::string, std::uint64_t>> veth_ethtool_stats(
    const VethStatsRules& rules, int peer_ifindex, std::size_t queues,
    const std::vector<RqCounters>& received, const VethXdp& xdp) {
  std::vector<std::pair<std::string, std::uint64_t>> stats;
  stats.emplace_back("peer_ifindex", peer_ifindex);
  if (rules.ethtool == VethStatsRules::Ethtool::peer_only) return stats;
  const bool all = rules.ethtool == VethStatsRules::Ethtool::all;
  for (std::size_t i = 0; i < queues; ++i) {
    const std::string prefix = "rx_queue_" + std::to_string(i) + '_';
    const RqCounters queue = i < received.size() ? received[i] : RqCounters{};
    const auto add = [&](const char* name, std::uint64_t value) {
      stats.emplace_back(prefix + name, value);
    };
    const bool known = xdp.known && (!xdp.program || queues == 1);
    add("xdp_packets", queue.xdp_packets);
    add("xdp_bytes", queue.xdp_bytes);
    if (all && !xdp.program) add("drops", 0);  // nothing is redirected or copied without one
    if (all && known) add("xdp_redirect", xdp.redirected);
    if (known) add("xdp_drops", xdp.dropped);
    if (all && known) add("xdp_tx", xdp.sent_back);
    if (all && known) add("xdp_tx_errors", xdp.tx_errors);
  }
  return stats;
}

}  // namespace vethd

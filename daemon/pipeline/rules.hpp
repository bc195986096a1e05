// What differs between the kernels a machine can emulate: one table per version, bound when the
// machine is made, so that no stage ever asks for a version.
//
// The tables follow these trees: 4.14.5, 5.4.59, 6.1.192, 6.12.117, 6.18.2. Long-term kernels carry
// backports, so a 6.1 or 6.12 of another patch level may differ.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "daemon/pipeline/gro_rules.hpp"
#include "daemon/stats/veth_stats.hpp"

namespace vethd {

struct Rules {
  std::string_view kernel;

  // drivers/net/veth.c: VETH_FEATURES
  bool has_gso_udp_l4;  // NETIF_F_GSO_SOFTWARE has it: a UDP_SEGMENT send crosses whole

  // drivers/net/veth.c: veth_xmit()
  enum class Napi : std::uint8_t {
    never,        // there is only the backlog
    with_xdp,     // while the receiver has an XDP program
    if_eligible,  // with XDP or GRO at the receiver, for frames that GRO could gain from
  } napi;
  bool records_rx_queue;  // of frames for a program: skb_record_rx_queue()
  enum class Orphan : std::uint8_t { always, unless_sock_wfree } poll_orphans;  // veth_xdp_rcv()
  bool tx_stops_on_full_ring;  // with a real qdisc; else the frame is dropped
  bool flushes_after_drop;     // __veth_xdp_flush() also when the frame did not get into the ring

  // net/core/skbuff.c: skb_scrub_packet()
  bool scrubs_as_xnet;  // as if the namespace always changed
  bool scrub_orphans;   // skb_orphan(): the sending socket is let go, with its cgroup
  bool scrub_clears_fwd_mark;
  enum class Tstamp : std::uint8_t {
    always,                 // cleared whatever it is
    if_xnet,                // cleared whatever it is, when the namespace changes
    if_xnet_not_monotonic,  // mono_delivery_time is kept
    if_xnet_not_delivery,   // any delivery time is kept
  } scrub_tstamp;

  // net/ethernet/eth.c: eth_type_trans()
  bool multicast_before_address;  // the group bit counts even in the device's own address

  // net/core/flow_dissector.c: __flow_hash_consistentify()
  bool ports_ordered_with_addresses;  // else each on their own

  // net/core/dev.c: get_rps_cpu(), skb_flow_limit()
  bool hashes_flow_slots;  // hash_32() spreads the hash over a table; else its low bits do

  // net/core/dev.c: enqueue_to_backlog()
  enum class NotRunning : std::uint8_t {
    as_backlog_drop,  // tested first, and counted in softnet_data
    after_limits,     // DEV_READY, tested once there is room
    first,            // DEV_READY
  } not_running;

  // net/core/dev.c: net_rx_action(); kernel/softirq.c
  bool polls_refilled_list;   // what is scheduled meanwhile is polled in the same run
  bool ksoftirqd_takes_over;  // while it is to run, nothing is polled elsewhere

  GroRules gro;  // net/ipv4/tcp_offload.c, udp_offload.c

  VethStatsRules stats;  // drivers/net/veth.c: veth_get_stats64(), ethtool_stats_keys
};

inline constexpr Rules kRules414{
    .kernel = "4.14",
    .has_gso_udp_l4 = false,
    .napi = Rules::Napi::never,
    .records_rx_queue = false,
    .poll_orphans = Rules::Orphan::always,
    .tx_stops_on_full_ring = false,
    .flushes_after_drop = true,
    .scrubs_as_xnet = true,
    .scrub_orphans = true,
    .scrub_clears_fwd_mark = false,
    .scrub_tstamp = Rules::Tstamp::always,
    .multicast_before_address = true,
    .ports_ordered_with_addresses = true,
    .hashes_flow_slots = false,
    .not_running = Rules::NotRunning::as_backlog_drop,
    .polls_refilled_list = false,
    .ksoftirqd_takes_over = true,
    .gro = kGro54,
    .stats = {.drops_counted_twice = true,
              .xdp_drops_counted = false,
              .ethtool = VethStatsRules::Ethtool::peer_only},
};

// Each later table says what changed since the one before.

inline constexpr Rules kRules54 = [] {
  Rules rules = kRules414;
  rules.kernel = "5.4";
  rules.napi = Rules::Napi::with_xdp;
  rules.records_rx_queue = true;
  rules.scrub_orphans = false;
  rules.scrub_clears_fwd_mark = true;
  rules.scrub_tstamp = Rules::Tstamp::if_xnet;
  rules.multicast_before_address = false;
  rules.stats.xdp_drops_counted = true;
  rules.stats.ethtool = VethStatsRules::Ethtool::rx_basic;
  return rules;
}();

inline constexpr Rules kRules61 = [] {
  Rules rules = kRules54;
  rules.kernel = "6.1";
  rules.has_gso_udp_l4 = true;
  rules.napi = Rules::Napi::if_eligible;
  rules.records_rx_queue = false;
  rules.poll_orphans = Rules::Orphan::unless_sock_wfree;
  rules.scrubs_as_xnet = false;
  rules.gro = kGro61;
  rules.scrub_tstamp = Rules::Tstamp::if_xnet_not_monotonic;
  rules.ports_ordered_with_addresses = false;
  rules.stats = {.drops_counted_twice = false,
                 .xdp_drops_counted = false,
                 .ethtool = VethStatsRules::Ethtool::all};
  return rules;
}();

inline constexpr Rules kRules612 = [] {
  Rules rules = kRules61;
  rules.kernel = "6.12";
  rules.tx_stops_on_full_ring = true;
  rules.flushes_after_drop = false;
  rules.scrub_tstamp = Rules::Tstamp::if_xnet_not_delivery;
  rules.not_running = Rules::NotRunning::after_limits;
  rules.polls_refilled_list = true;
  rules.ksoftirqd_takes_over = false;
  return rules;
}();

inline constexpr Rules kRules618 = [] {
  Rules rules = kRules612;
  rules.kernel = "6.18";
  rules.gro = kGro618;
  rules.hashes_flow_slots = true;
  rules.not_running = Rules::NotRunning::first;
  return rules;
}();

inline constexpr std::array<const Rules*, 5> kAllRules = {&kRules414, &kRules54, &kRules61,
                                                          &kRules612, &kRules618};

}  // namespace vethd

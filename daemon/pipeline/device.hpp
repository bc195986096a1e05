// What the emulated rules need to know of one end of a pair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/mac.hpp"

namespace vethd {

// include/uapi/linux/if_ether.h
constexpr std::uint32_t kEthHeaderBytes = 14;  // ETH_HLEN
constexpr std::uint32_t kVlanBytes = 4;        // VLAN_HLEN

/// Frames of a flow that may be written as one where they leave in a row.
enum class Merge : std::uint8_t { none, tcp, tcp_and_udp };  // each includes those before

/// One end. A value: control replaces it whole, between rounds.
///
/// Emulates  the fields of struct net_device that veth's path reads.
struct Device {
  std::uint32_t ifindex = 0;
  std::uint64_t netns = 0;  // identity of its namespace; equal means the same
  std::uint32_t mtu = 1500;
  bool running = false;  // administratively up: IFF_UP, and with it netif_running()
  MacAddress dev_addr;
  std::uint16_t real_num_rx_queues = 1;

  // Features, under their ethtool names, as the device has them now.
  bool tso = true;  // any of the four for TCP
  bool gro = false;
  bool rx_udp_gro_forwarding = false;
  bool has_xdp = false;
  bool has_qdisc = false;  // another one than noqueue

  // What it takes beyond what a veth would.
  Merge coalesce = Merge::none;      // of what it sends
  Merge takes_merged = Merge::none;  // of what is written to it
  // What it takes less: a network card behind AF_XDP.
  bool plain_frames = false;    // no super-frames, no unfinished checksums
  bool mute_checksums = false;  // gives unfinished ones without a word: a device in software

  // One map for all rx queues, or one for each; ascending, as rps_cpus keeps them. Empty: no map.
  std::vector<std::vector<CpuId>> rps_cpus;
  std::uint32_t rps_flow_cnt = 0;  // per rx queue, a power of two; 0: no flow table

  // What each frame sent here carries besides its bytes, in place of what a TAP cannot tell.
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t classid = 0;

  [[nodiscard]] bool has_rps_map() const { return !rps_cpus.empty(); }
  /// Shape  rxq: below real_num_rx_queues. Empty: that queue has none.
  [[nodiscard]] std::span<const CpuId> rps_map(std::size_t rxq) const {
    if (rps_cpus.empty()) return {};
    return rps_cpus.size() == 1 ? rps_cpus.front() : rps_cpus[rxq];
  }
  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace vethd

// What the emulated rules need to know of one end of a pair, and of one direction.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

class SoftnetData;

// include/uapi/linux/if_ether.h
constexpr std::uint32_t kEthHeaderBytes = 14;  // ETH_HLEN
constexpr std::uint32_t kVlanBytes = 4;        // VLAN_HLEN

/// One end. A value: control replaces it whole, between rounds.
///
/// Emulates  the fields of struct net_device that veth's receive path reads.
struct Device {
  std::uint32_t ifindex = 0;
  std::uint64_t netns = 0;  // identity of its namespace; equal means the same
  std::uint32_t mtu = 1500;
  bool running = false;  // administratively up: IFF_UP, and with it netif_running()
  MacAddress dev_addr;
  std::uint16_t real_num_rx_queues = 1;
  std::vector<CpuId> rps_cpus;  // ascending, as rps_cpus keeps them; empty: no map

  [[nodiscard]] bool has_rps_map() const { return !rps_cpus.empty(); }
  friend bool operator==(const Device&, const Device&) = default;
};

/// One direction of one pair on one worker: sender, receiver, machine, ledger.
struct Path {
  Device dev;                      // where the frame was sent
  Device peer;                     // where it will be received
  SoftnetData* softnet = nullptr;  // of the pair's machine, on this worker's CPU
  Counters counters;
};

}  // namespace vethd

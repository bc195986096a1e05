// What control must know of a device it did not make, and the one thing it changes there.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// A device as its driver describes it.
struct NicInfo {
  std::string driver;     // "igb"; empty: it names none
  std::string bus;        // "0000:01:00.0"; empty: it is on none
  bool ethernet = false;  // ARPHRD_ETHER: its frames begin with an Ethernet header
  // Queues in use now, `ethtool -l`: combined, and those of one direction. Where the driver has no
  // channels, those it was made with: some may lie idle.
  std::uint32_t rx_queues = 0;
  std::uint32_t tx_queues = 0;
  std::uint32_t max_combined = 0;  // what `ethtool -L IFNAME combined N` can reach; 0: nothing
  bool vlan_stripping = false;  // rx-vlan-hw-parse, NETIF_F_HW_VLAN_CTAG_RX: tags leave the frame
};

/// Errors: no such device. What a driver cannot say is empty or 0.
Result<NicInfo> nic_info(const Netns& ns, const std::string& ifname);

/// Switches rx-vlan-hw-parse, as `ethtool -K IFNAME rxvlan on|off`.
///
/// Errors  EOPNOTSUPP: the driver cannot, or would not. None where it is so already.
Result<void> set_vlan_stripping(const Netns& ns, const std::string& ifname, bool on);

/// The same through any socket of the device's namespace; the error's doing is empty.
Result<void> set_vlan_stripping(int socket, const std::string& ifname, bool on);

/// Whether a default route of the main table, of IPv4 or IPv6, leaves through the device, be it one
/// of several next hops.
Result<bool> holds_default_route(const Netns& ns, int ifindex);

}  // namespace vethd

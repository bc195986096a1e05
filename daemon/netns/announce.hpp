// What a host says when it has come to an address.
#pragma once

#include <span>

#include "config/schema.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// Sends through a device that is up and has the addresses: a gratuitous ARP for each of IPv4, an
/// unsolicited neighbour advertisement for each of IPv6. Neighbours that knew another Ethernet
/// address use this one at once, and switches learn where it is.
///
/// Emulates  net/ipv4/devinet.c: inetdev_send_gratuitous_arp(); net/ipv6/ndisc.c:
///           ndisc_send_unsol_na(): what arp_notify and ndisc_notify make the kernel send.
Result<void> announce(const Netns& ns, int ifindex, const MacAddress& mac,
                      std::span<const config::Address> addresses);

}  // namespace vethd

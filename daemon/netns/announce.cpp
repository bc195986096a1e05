#include "daemon/netns/announce.hpp"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"

namespace vethd {
namespace {

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& to, std::span<const std::uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void append_u16(Bytes& to, std::uint16_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

/// RFC 826, and RFC 5227 section 3: sender and target are the address itself.
Bytes gratuitous_arp(const MacAddress& mac, std::span<const std::uint8_t> address) {
  Bytes frame(ETH_ALEN, 0xff);
  append(frame, mac.bytes);
  append_u16(frame, ETH_P_ARP);
  append_u16(frame, ARPHRD_ETHER);
  append_u16(frame, ETH_P_IP);
  frame.push_back(ETH_ALEN);
  frame.push_back(4);
  append_u16(frame, ARPOP_REQUEST);
  append(frame, mac.bytes);
  append(frame, address);
  frame.insert(frame.end(), ETH_ALEN, 0);
  append(frame, address);
  return frame;
}

/// RFC 1071, with the pseudo header of RFC 8200.
std::uint16_t icmp6_checksum(std::span<const std::uint8_t> from, std::span<const std::uint8_t> to,
                             std::span<const std::uint8_t> message) {
  std::uint32_t sum = IPPROTO_ICMPV6 + static_cast<std::uint32_t>(message.size());
  for (const auto part : {from, to, message})
    for (std::size_t i = 0; i < part.size(); i += 2)  // all of even length
      sum += static_cast<std::uint32_t>(part[i] << 8) + part[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// RFC 4861 sections 4.4 and 7.2.6: to all nodes, overriding what they know.
Bytes unsolicited_advertisement(const MacAddress& mac, std::span<const std::uint8_t> address) {
  constexpr std::array<std::uint8_t, 16> kAllNodes{0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                                   0,    0,    0, 0, 0, 0, 0, 1};
  Bytes message{ND_NEIGHBOR_ADVERT, 0, 0, 0, 0x20, 0, 0, 0};  // 0x20: override
  append(message, address);
  message.push_back(ND_OPT_TARGET_LINKADDR);
  message.push_back(1);  // of 8 bytes
  append(message, mac.bytes);
  const std::uint16_t checksum = icmp6_checksum(address, kAllNodes, message);
  message[2] = static_cast<std::uint8_t>(checksum >> 8);
  message[3] = static_cast<std::uint8_t>(checksum);

  Bytes frame{0x33, 0x33, 0, 0, 0, 1};
  append(frame, mac.bytes);
  append_u16(frame, ETH_P_IPV6);
  append(frame, std::array<std::uint8_t, 4>{0x60, 0, 0, 0});
  append_u16(frame, static_cast<std::uint16_t>(message.size()));
  frame.push_back(IPPROTO_ICMPV6);
  frame.push_back(255);  // hop limit: from this link
  append(frame, address);
  append(frame, kAllNodes);
  append(frame, message);
  return frame;
}

}  // namespace

Result<void> announce(const Netns& ns, int ifindex, const MacAddress& mac,
                      std::span<const config::Address> addresses) {
  if (addresses.empty()) return {};
  const std::string doing = "announce addresses in network namespace " + ns.label();
  const Result<Fd> socket = in_netns(ns, [&]() -> Result<Fd> {
    Fd made{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};  // protocol 0: receives nothing
    if (!made.is_open()) return fail(doing);
    return made;
  });
  if (!socket) return std::unexpected(socket.error());
  sockaddr_ll through{};
  through.sll_family = AF_PACKET;
  through.sll_ifindex = ifindex;
  for (const config::Address& address : addresses) {
    const std::span<const std::uint8_t> bytes(address.bytes);
    const Bytes frame = address.family == AF_INET ? gratuitous_arp(mac, bytes.first(4))
                                                  : unsolicited_advertisement(mac, bytes);
    if (::sendto(socket->get(), frame.data(), frame.size(), 0,
                 reinterpret_cast<const sockaddr*>(&through), sizeof through) < 0)
      return fail(doing);
  }
  return {};
}

}  // namespace vethd

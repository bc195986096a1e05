// Where the headers of a TCP or UDP frame lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace vethd {

/// The network header, behind Ethernet and VLAN tags.
struct NetworkHeader {
  std::uint16_t offset = 0;    // bytes from the Ethernet header
  std::uint16_t protocol = 0;  // EtherType of what lies there
};

/// What an IP packet carries.
struct IpPayload {
  std::uint32_t offset = 0;  // bytes from the Ethernet header
  std::uint8_t protocol = 0;
};

/// Shape  offsets in bytes from the Ethernet header; all headers, options included, lie within the
///        frame's linear bytes.
struct Headers {
  std::uint16_t l3 = 0;
  std::uint16_t l4 = 0;
  std::uint16_t payload = 0;
  bool ipv6 = false;
  bool tcp = false;  // else UDP
};

/// Looks behind VLAN tags. A veth carries the outer tag beside the frame and a TAP inside it, so
/// here tags count as part of the link-layer header: two, for a tag of the device's and one of its
/// user's, are the most that is looked behind.
std::optional<NetworkHeader> find_network_header(const std::byte* data, std::uint32_t linear_bytes);

/// Looks behind IPv4 options and those IPv6 extension headers that a flow's frames have in common:
/// hop-by-hop, routing, destination options. Nothing for any other packet, for a fragment, and for
/// headers that are truncated or have lengths that cannot be.
///
/// Never  reads past linear_bytes; judges the total length.
std::optional<IpPayload> find_ip_payload(const std::byte* data, std::uint32_t linear_bytes,
                                         const NetworkHeader& network);

/// The TCP or UDP header that find_ip_payload() has found; nothing if it is another, or not all
/// there.
std::optional<Headers> find_l4_header(const std::byte* data, std::uint32_t linear_bytes,
                                      const NetworkHeader& network, const IpPayload& found);

/// Both of the outermost packet.
///
/// Never  reads past linear_bytes; judges checksums or the total length.
std::optional<Headers> find_headers(const std::byte* data, std::uint32_t linear_bytes);

}  // namespace vethd

// The headers that packets are wrapped in: from one to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace vethd {

/// A header, and what says which: an EtherType, a protocol of IP, or nothing for Ethernet.
struct Layer {
  enum class Kind : std::uint8_t { ethernet, ether_type, ip_protocol };

  Kind kind = Kind::ethernet;
  std::uint16_t protocol = 0;
  std::uint32_t at = 0;  // bytes from the outermost Ethernet header
};

/// The header behind one that is neither IP nor TCP, UDP or SCTP: Ethernet, a VLAN tag, PPPoE, an
/// MPLS label, GRE; and what IPIP, IPv6 in IP and MPLS in IP stand for. Nothing behind any other.
///
/// Never  reads past linear_bytes.
std::optional<Layer> next_layer(const std::byte* data, std::uint32_t linear_bytes,
                                const Layer& layer);

/// The header that a UDP tunnel has behind the UDP header, which ends at `at`: VXLAN (GBP and GPE
/// included), Geneve, and FOU and GUE with IP or GRE in them. What a tunnel listens on is anybody's
/// choice, so ports say nothing: a payload is taken for what it looks like.
///
/// end    of the UDP packet.
/// Shape  nothing for packets whose checksum is left to the receiver on purpose (remote checksum
///        offload), nor for control packets.
std::optional<Layer> layer_in_udp(const std::byte* data, std::uint32_t linear_bytes,
                                  std::uint32_t at, std::uint32_t end);

}  // namespace vethd

#include "daemon/pipeline/headers.hpp"

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

constexpr int kMaxTags = 2;

// Extension headers looked behind; as many as the flow dissector does. 15 of 2048 bytes each keep
// every offset within 16 bits.
constexpr int kMaxExtensions = 15;

/// The first header behind IPv4, in `protocol`; 0: none that can be merged.
std::uint32_t skip_ipv4(const std::byte* data, std::uint32_t linear, std::uint32_t at,
                        std::uint8_t& protocol) {
  if (linear - at < kIpv4HeaderBytes) return 0;
  const std::byte* const ip = data + at;
  const std::uint32_t header = (load8(ip) & 0xfU) * 4;
  if (load8(ip) >> 4 != 4 || header < kIpv4HeaderBytes || linear - at < header) return 0;
  if ((load_be16(ip + 6) & kIpv4FragmentBits) != 0) return 0;
  protocol = load8(ip + 9);
  return at + header;
}

std::uint32_t skip_ipv6(const std::byte* data, std::uint32_t linear, std::uint32_t at,
                        std::uint8_t& protocol) {
  if (linear - at < kIpv6HeaderBytes) return 0;
  protocol = load8(data + at + 6);
  at += kIpv6HeaderBytes;
  for (int i = 0; i < kMaxExtensions; ++i) {
    if (protocol != kIpv6HopByHop && protocol != kIpv6Routing && protocol != kIpv6DestOptions)
      return at;
    if (linear - at < 2) return 0;
    const std::uint32_t bytes = (load8(data + at + 1) + 1U) * 8;
    if (linear - at < bytes) return 0;
    protocol = load8(data + at);
    at += bytes;
  }
  return 0;
}

/// Bytes of the L4 header at `l4`, 0 if it is not all there.
std::uint32_t l4_header_bytes(const std::byte* l4, std::uint32_t bytes, std::uint8_t protocol) {
  if (protocol == kIpProtoUdp) return bytes >= kUdpHeaderBytes ? kUdpHeaderBytes : 0;
  if (protocol != kIpProtoTcp || bytes < kTcpHeaderBytes) return 0;
  const std::uint32_t header = (load8(l4 + 12) >> 4) * 4U;
  return header >= kTcpHeaderBytes && bytes >= header ? header : 0;
}

}  // namespace

std::optional<NetworkHeader> find_network_header(const std::byte* data,
                                                 std::uint32_t linear_bytes) {
  std::uint32_t at = kEthHeaderBytes;
  for (int tags = 0; linear_bytes >= at; ++tags, at += kVlanBytes) {
    const std::uint16_t protocol = load_be16(data + at - 2);
    if (protocol != kEthP8021Q && protocol != kEthP8021Ad)
      return NetworkHeader{.offset = static_cast<std::uint16_t>(at), .protocol = protocol};
    if (tags == kMaxTags) break;
  }
  return std::nullopt;
}

std::optional<IpPayload> find_ip_payload(const std::byte* data, std::uint32_t linear_bytes,
                                         const NetworkHeader& network) {
  const bool ipv6 = network.protocol == kEthPIpv6;
  if (!ipv6 && network.protocol != kEthPIp) return std::nullopt;
  IpPayload found;
  found.offset = ipv6 ? skip_ipv6(data, linear_bytes, network.offset, found.protocol)
                      : skip_ipv4(data, linear_bytes, network.offset, found.protocol);
  if (found.offset == 0) return std::nullopt;
  return found;
}

std::optional<Headers> find_l4_header(const std::byte* data, std::uint32_t linear_bytes,
                                      const NetworkHeader& network, const IpPayload& found) {
  const std::uint32_t header =
      l4_header_bytes(data + found.offset, linear_bytes - found.offset, found.protocol);
  if (header == 0) return std::nullopt;
  return Headers{.l3 = network.offset,
                 .l4 = static_cast<std::uint16_t>(found.offset),
                 .payload = static_cast<std::uint16_t>(found.offset + header),
                 .ipv6 = network.protocol == kEthPIpv6,
                 .tcp = found.protocol == kIpProtoTcp};
}

std::optional<Headers> find_headers(const std::byte* data, std::uint32_t linear_bytes) {
  const auto network = find_network_header(data, linear_bytes);
  if (!network) return std::nullopt;
  const auto found = find_ip_payload(data, linear_bytes, *network);
  if (!found) return std::nullopt;
  return find_l4_header(data, linear_bytes, *network, *found);
}

}  // namespace vethd

#include "daemon/pipeline/encapsulation.hpp"

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

using Kind = Layer::Kind;

// EtherTypes, include/uapi/linux/if_ether.h.
constexpr std::uint16_t kEthPTeb = 0x6558;  // Ethernet itself
constexpr std::uint16_t kEthPMplsUc = 0x8847;
constexpr std::uint16_t kEthPMplsMc = 0x8848;
constexpr std::uint16_t kEthPPppSes = 0x8864;

// RFC 2516; the protocol numbers are those of PPP.
constexpr std::uint32_t kPppoeHeaderBytes = 6;
constexpr std::uint16_t kPppoeSession = 0x1100;  // version and type 1, code 0
constexpr std::uint16_t kPppIp = 0x0021;
constexpr std::uint16_t kPppIpv6 = 0x0057;

constexpr std::uint32_t kMplsLabelBytes = 4;
constexpr std::uint8_t kMplsBottom = 0x01;  // of the third byte

// RFC 2784, RFC 2890: a word for each of these behind the first.
constexpr std::uint32_t kGreHeaderBytes = 4;
constexpr std::uint16_t kGreChecksum = 0x8000;
constexpr std::uint16_t kGreKey = 0x2000;
constexpr std::uint16_t kGreSequence = 0x1000;

constexpr std::uint32_t kVxlanHeaderBytes = 8;   // RFC 7348
constexpr std::uint32_t kGeneveHeaderBytes = 8;  // RFC 8926, without options
constexpr std::uint32_t kGueHeaderBytes = 4;     // include/net/gue.h, without options

std::optional<Layer> ether_type(std::uint16_t protocol, std::uint32_t at) {
  return Layer{.kind = Kind::ether_type, .protocol = protocol, .at = at};
}

std::optional<Layer> ethernet(std::uint32_t at) { return Layer{.kind = Kind::ethernet, .at = at}; }

/// The EtherType of an IP packet by its first four bits.
std::optional<Layer> ip_by_version(const std::byte* data, std::uint32_t at) {
  switch (load8(data + at) >> 4) {
    case 4:
      return ether_type(kEthPIp, at);
    case 6:
      return ether_type(kEthPIpv6, at);
    default:
      return std::nullopt;
  }
}

std::optional<Layer> behind_gre(const std::byte* data, std::uint32_t linear, std::uint32_t at) {
  if (linear - at < kGreHeaderBytes) return std::nullopt;
  const std::uint16_t flags = load_be16(data + at);
  if ((flags & ~(kGreChecksum | kGreKey | kGreSequence)) != 0) return std::nullopt;
  const std::uint16_t protocol = load_be16(data + at + 2);
  at += kGreHeaderBytes;
  for (const std::uint16_t word : {kGreChecksum, kGreKey, kGreSequence})
    if ((flags & word) != 0) at += 4;
  return protocol == kEthPTeb ? ethernet(at) : ether_type(protocol, at);
}

std::optional<Layer> behind_ether_type(const std::byte* data, std::uint32_t linear,
                                       std::uint16_t protocol, std::uint32_t at) {
  switch (protocol) {
    case kEthP8021Q:
    case kEthP8021Ad:
      if (linear - at < kVlanBytes) return std::nullopt;
      return ether_type(load_be16(data + at + 2), at + kVlanBytes);
    case kEthPMplsUc:
    case kEthPMplsMc: {
      const std::uint32_t next = at + kMplsLabelBytes;
      if (linear <= next) return std::nullopt;
      if ((load8(data + at + 2) & kMplsBottom) == 0) return ether_type(protocol, next);
      return ip_by_version(data, next);
    }
    case kEthPPppSes: {
      const std::uint32_t next = at + kPppoeHeaderBytes;
      if (linear < next + 2 || load_be16(data + at) != kPppoeSession) return std::nullopt;
      const std::uint16_t ppp = load_be16(data + next);
      if (ppp == kPppIp) return ether_type(kEthPIp, next + 2);
      if (ppp == kPppIpv6) return ether_type(kEthPIpv6, next + 2);
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::optional<Layer> behind_ip_protocol(const std::byte* data, std::uint32_t linear,
                                        std::uint16_t protocol, std::uint32_t at) {
  switch (protocol) {
    case kIpProtoIpip:
      return ether_type(kEthPIp, at);
    case kIpProtoIpv6:
      return ether_type(kEthPIpv6, at);
    case kIpProtoMpls:
      return ether_type(kEthPMplsUc, at);
    case kIpProtoGre:
      return behind_gre(data, linear, at);
    default:
      return std::nullopt;
  }
}

/// Whether an IP packet ends where it would have to. Of IPv4 the header has a checksum, too.
bool is_whole_packet(const std::byte* ip, std::uint32_t linear, std::uint32_t bytes) {
  switch (load8(ip) >> 4) {
    case 4: {
      if (linear < kIpv4HeaderBytes || load_be16(ip + 2) != bytes) return false;
      const std::uint32_t header = (load8(ip) & 0xfU) * 4;
      return header >= kIpv4HeaderBytes && header <= linear &&
             load_be16(ip + 10) == ipv4_checksum(ip, header);
    }
    case 6:
      return linear >= kIpv6HeaderBytes && kIpv6HeaderBytes + load_be16(ip + 4) == bytes;
    default:
      return false;
  }
}

/// Whether an Ethernet header could lie here whose frame has something to be found.
bool is_ethernet(const std::byte* data, std::uint32_t linear, std::uint32_t at) {
  if (linear < at + kEthHeaderBytes) return false;
  const std::uint16_t type = load_be16(data + at + kEthHeaderBytes - 2);
  return type == kEthPIp || type == kEthPIpv6 || type == kEthP8021Q || type == kEthP8021Ad ||
         type == kEthPMplsUc;
}

/// Flags of the first word: I alone; I, G and what comes with a group policy; I, P and a protocol.
/// Never RCO, 0x00200000.
std::optional<Layer> behind_vxlan(const std::byte* data, std::uint32_t at) {
  constexpr std::uint32_t kVni = 0x08000000;
  constexpr std::uint32_t kGroupPolicy = 0x80000000;
  constexpr std::uint32_t kGroupBits = 0x0048ffff;  // don't learn, applied, group
  constexpr std::uint32_t kGpe = 0x04000000;
  constexpr std::uint32_t kGpeProtocol = 0x000000ff;
  const std::uint32_t word = load_be32(data + at);
  const std::uint32_t next = at + kVxlanHeaderBytes;
  if (load8(data + next - 1) != 0) return std::nullopt;  // reserved, behind the VNI
  if (word == kVni || (word & ~kGroupBits) == (kVni | kGroupPolicy)) return ethernet(next);
  if ((word & ~kGpeProtocol) != (kVni | kGpe)) return std::nullopt;
  switch (word & kGpeProtocol) {  // VXLAN_GPE_NP_* of include/net/tun_proto.h
    case 1:
      return ether_type(kEthPIp, next);
    case 2:
      return ether_type(kEthPIpv6, next);
    case 3:
      return ethernet(next);
    default:
      return std::nullopt;
  }
}

std::optional<Layer> behind_geneve(const std::byte* data, std::uint32_t linear, std::uint32_t at) {
  // Version 0, the length of the options, no control packet (O); C and the options are nobody's.
  const std::uint16_t first = load_be16(data + at);
  if ((first & 0xc080) != 0 || (first & 0x3f) != 0) return std::nullopt;
  if (load8(data + at + 7) != 0) return std::nullopt;
  const std::uint32_t next = at + kGeneveHeaderBytes + (first >> 8) * 4U;
  const std::uint16_t protocol = load_be16(data + at + 2);
  if (protocol == kEthPTeb && is_ethernet(data, linear, next)) return ethernet(next);
  if (next >= linear || (protocol != kEthPIp && protocol != kEthPIpv6)) return std::nullopt;
  const auto inner = ip_by_version(data, next);
  return inner && inner->protocol == protocol ? inner : std::nullopt;
}

std::optional<Layer> behind_gue(const std::byte* data, std::uint32_t at) {
  // Version 0, data, no options, no flags.
  if (load8(data + at) != 0 || load_be16(data + at + 2) != 0) return std::nullopt;
  const std::uint8_t protocol = load8(data + at + 1);
  if (protocol != kIpProtoIpip && protocol != kIpProtoIpv6 && protocol != kIpProtoGre)
    return std::nullopt;
  return Layer{.kind = Kind::ip_protocol, .protocol = protocol, .at = at + kGueHeaderBytes};
}

}  // namespace

std::optional<Layer> next_layer(const std::byte* data, std::uint32_t linear_bytes,
                                const Layer& layer) {
  if (layer.at > linear_bytes) return std::nullopt;
  switch (layer.kind) {
    case Kind::ethernet:
      if (linear_bytes - layer.at < kEthHeaderBytes) return std::nullopt;
      return ether_type(load_be16(data + layer.at + kEthHeaderBytes - 2),
                        layer.at + kEthHeaderBytes);
    case Kind::ether_type:
      return behind_ether_type(data, linear_bytes, layer.protocol, layer.at);
    case Kind::ip_protocol:
      return behind_ip_protocol(data, linear_bytes, layer.protocol, layer.at);
  }
  return std::nullopt;
}

std::optional<Layer> layer_in_udp(const std::byte* data, std::uint32_t linear_bytes,
                                  std::uint32_t at, std::uint32_t end) {
  // All of them are longer.
  if (end <= at + kVxlanHeaderBytes || linear_bytes <= at + kVxlanHeaderBytes) return std::nullopt;
  // FOU, and GUE of version 1.
  if (is_whole_packet(data + at, linear_bytes - at, end - at)) return ip_by_version(data, at);
  if (auto inner = behind_vxlan(data, at)) return inner;
  if (auto inner = behind_geneve(data, linear_bytes, at)) return inner;
  if (auto inner = behind_gue(data, at)) return inner;
  // FOU: the protocols that GRE has here.
  auto inner = behind_gre(data, linear_bytes, at);
  if (!inner) return std::nullopt;
  if (inner->kind == Kind::ethernet)
    return is_ethernet(data, linear_bytes, inner->at) ? inner : std::nullopt;
  return inner->protocol == kEthPIp || inner->protocol == kEthPIpv6 ? inner : std::nullopt;
}

}  // namespace vethd

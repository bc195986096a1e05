// The header that precedes each frame on a TAP's descriptor: decoded once on entry, encoded once on
// exit, never looked at in between. Its length is the device's (TUNSETVNETHDRSZ): the bytes behind
// the first 10 say something of super-frames in tunnels and are not touched for any other frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {

// include/uapi/linux/virtio_net.h, which no C++ compiler accepts (a field is named `class`).
constexpr std::uint8_t kVnetNeedsCsum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
constexpr std::uint8_t kVnetDataValid = 2;  // VIRTIO_NET_HDR_F_DATA_VALID
constexpr std::uint8_t kVnetOuterCsum = 8;  // VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM

/// struct virtio_net_hdr, what all layouts begin with: nothing in it is left unwritten by any
/// kernel. Behind it and the Ethernet header the IP header is 8-byte aligned.
struct VnetHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;     // VIRTIO_NET_HDR_GSO_*
  std::uint16_t hdr_len = 0;     // bytes
  std::uint16_t gso_size = 0;    // bytes
  std::uint16_t csum_start = 0;  // bytes from the Ethernet header
  std::uint16_t csum_offset = 0;
};
constexpr std::size_t kVnetBytes = 10;
static_assert(sizeof(VnetHeader) == kVnetBytes);

/// struct virtio_net_hdr_v1_hash_tunnel from here on: 24 bytes. The kernel takes any size above
/// that, and 2 more align the IP header again.
struct VnetTunnel {
  std::uint16_t outer_th = 0;  // bytes from the Ethernet header
  std::uint16_t inner_nh = 0;
};
constexpr std::size_t kVnetTunnelAt = 20;
constexpr std::size_t kVnetTunnelBytes = 26;
static_assert((kVnetTunnelBytes + kEthHeaderBytes) % 8 == 0);

[[nodiscard]] inline bool in_udp_tunnel(const FrameMeta& meta) {
  return (meta.gso_type & (kGsoUdpTunnelIpv4 | kGsoUdpTunnelIpv6)) != 0;
}

/// What the kernel said of the frame. Field values are host-endian (no TUNSETVNETLE).
inline void decode_vnet(const std::byte* at, FrameMeta& meta) {
  VnetHeader header;
  std::memcpy(&header, at, kVnetBytes);
  meta.gso_type = header.gso_type;
  meta.gso_size = header.gso_size;
  meta.hdr_len = header.hdr_len;
  if ((header.flags & kVnetNeedsCsum) != 0) {
    meta.ip_summed = IpSummed::partial;
    meta.csum_start = header.csum_start;
    meta.csum_offset = header.csum_offset;
  } else if ((header.flags & kVnetDataValid) != 0) {
    meta.ip_summed = IpSummed::unnecessary;
  }
}

/// By how much the offsets of a tunnel fall short. The kernel puts the tag that lies beside a frame
/// into the bytes on their way here and counts it in csum_start, but not in these two:
/// virtio_net_hdr_tnl_from_skb().
[[nodiscard]] inline std::uint16_t missing_tag(const std::byte* data, std::uint16_t outer_th) {
  std::uint32_t l3 = kEthHeaderBytes;
  std::uint16_t type = load_be16(data + l3 - 2);
  for (int tags = 0; tags < 2 && (type == kEthP8021Q || type == kEthP8021Ad); ++tags) {
    l3 += kVlanBytes;
    type = load_be16(data + l3 - 2);
  }
  const std::uint32_t header = type == kEthPIp ? (load8(data + l3) & 0xfU) * 4 : kIpv6HeaderBytes;
  return outer_th + kVlanBytes == l3 + header ? kVlanBytes : 0;
}

/// The rest of what the kernel said of a super-frame in a tunnel, whose bytes are at `data`.
inline void decode_vnet_tunnel(const std::byte* at, const std::byte* data, FrameMeta& meta) {
  VnetTunnel tunnel;
  std::memcpy(&tunnel, at + kVnetTunnelAt, sizeof tunnel);
  const std::uint16_t tag = missing_tag(data, tunnel.outer_th);
  meta.outer_th = static_cast<std::uint16_t>(tunnel.outer_th + tag);
  meta.inner_nh = static_cast<std::uint16_t>(tunnel.inner_nh + tag);
  meta.outer_csum = (load8(at) & kVnetOuterCsum) != 0;
}

/// To be called behind encode_vnet().
inline void encode_vnet_tunnel(const FrameMeta& meta, std::byte* at) {
  const VnetTunnel tunnel{.outer_th = meta.outer_th, .inner_nh = meta.inner_nh};
  std::memcpy(at + kVnetTunnelAt, &tunnel, sizeof tunnel);
  if (meta.outer_csum) store8(at, load8(at) | kVnetOuterCsum);
}

/// What to tell the kernel of the frame. A TAP ignores DATA_VALID on write and verifies such a
/// frame in software; only an unfinished checksum spares it the work.
inline void encode_vnet(const FrameMeta& meta, std::byte* at) {
  VnetHeader header{};
  header.gso_type = meta.gso_type;
  header.gso_size = meta.gso_size;
  header.hdr_len = meta.hdr_len;
  if (meta.ip_summed == IpSummed::partial) {
    header.flags = kVnetNeedsCsum;
    header.csum_start = meta.csum_start;
    header.csum_offset = meta.csum_offset;
  } else if (meta.ip_summed == IpSummed::unnecessary) {
    header.flags = kVnetDataValid;
  }
  std::memcpy(at, &header, kVnetBytes);
}

}  // namespace vethd

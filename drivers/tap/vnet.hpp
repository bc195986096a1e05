// The 10-byte header that precedes each frame on a TAP's descriptor: decoded once on entry, encoded
// once on exit, never looked at in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "daemon/frame/frame.hpp"

namespace vethd {

// include/uapi/linux/virtio_net.h, which no C++ compiler accepts (a field is named `class`).
constexpr std::uint8_t kVnetNeedsCsum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
constexpr std::uint8_t kVnetDataValid = 2;  // VIRTIO_NET_HDR_F_DATA_VALID

/// struct virtio_net_hdr, the smallest layout: nothing in it is left unwritten by any kernel, and
/// the IP header behind it and the Ethernet header is 8-byte aligned.
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

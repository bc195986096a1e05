// The Ethernet header is read, and conceptually pulled: type, protocol, checksum bookkeeping.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/rules.hpp"

namespace vethd {

// include/uapi/linux/if_ether.h
constexpr std::uint16_t kEthP8023Min = 0x0600;  // ETH_P_802_3_MIN: below it the field is a length
constexpr std::uint16_t kEthP8023 = 0x0001;     // ETH_P_802_3: raw IPX
constexpr std::uint16_t kEthP8022 = 0x0004;     // ETH_P_802_2: an LLC header follows

/// Classifies the frame for its receiver: pkt_type and protocol. HOST is never written here; it is
/// what the scrub left.
///
/// Emulates  net/ethernet/eth.c: eth_type_trans(), eth_skb_pkt_type().
/// Shape     data: at least kEthHeaderBytes of the frame's len bytes.
inline void eth_type_trans(const Rules& rules, Frame& frame, const std::byte* data,
                           const Device& peer) {
  constexpr std::size_t kMacBytes = sizeof(MacAddress::bytes);
  constexpr std::size_t kTypeAt = 2 * kMacBytes;
  const auto group = [data] { return (load8(data) & 1) != 0; };
  const bool own = std::memcmp(data, peer.dev_addr.bytes.data(), kMacBytes) == 0;
  if (!own || (rules.multicast_before_address && group())) [[unlikely]] {
    if (!group())
      frame.meta.pkt_type = PacketType::otherhost;
    else
      frame.meta.pkt_type =
          std::all_of(data, data + kMacBytes, [](std::byte b) { return b == std::byte{0xff}; })
              ? PacketType::broadcast
              : PacketType::multicast;
  }

  const std::uint16_t type = load_be16(data + kTypeAt);
  if (type >= kEthP8023Min)
    frame.meta.protocol = type;
  else if (frame.len >= kEthHeaderBytes + 2 && load_be16(data + kEthHeaderBytes) == 0xffff)
    frame.meta.protocol = kEthP8023;
  else
    frame.meta.protocol = kEthP8022;

  if (broken(Stage::eth_type_trans)) {
    frame.addr.value += kEthHeaderBytes;
    frame.len -= kEthHeaderBytes;
  }
}

/// Keeps the checksum metadata true after the header was pulled: a start inside it is void.
///
/// Emulates  include/linux/skbuff.h: skb_postpull_rcsum() over ETH_HLEN bytes.
inline void skb_postpull_rcsum(FrameMeta& meta) {
  if (meta.ip_summed == IpSummed::partial &&
      (meta.csum_start < kEthHeaderBytes || broken(Stage::csum)))
    meta.ip_summed = IpSummed::none;
}

}  // namespace vethd

// May the frame enter its peer at all?
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {

/// Whether the frame is a segmentation super-frame.
///
/// Emulates  include/linux/skbuff.h: skb_is_gso(). A TAP describes a frame with a gso_type only if
///           the kernel saw it so, so the length need not be looked at again.
[[nodiscard]] inline bool skb_is_gso(const FrameMeta& meta) { return meta.gso_type != 0; }

/// skb->len of a frame that lies here with `len` bytes and this EtherType. Bridges and VLAN devices
/// keep the outer tag beside the frame (skb->vlan_tci), where it has no length; a TAP delivers it
/// in the bytes. Of a frame whose sender wrote the tag into the bytes itself this is 4 too few: a
/// packet socket's, as nothing tells the two apart.
[[nodiscard]] constexpr std::uint32_t skb_len(std::uint32_t len, std::uint16_t ether_type) {
  const bool tagged = ether_type == kEthP8021Q || ether_type == kEthP8021Ad;
  return tagged && len >= kEthHeaderBytes + kVlanBytes ? len - kVlanBytes : len;
}

/// Whether the length suits the receiver: its mtu, a header and one VLAN tag. The sender's mtu was
/// its own stack's business.
///
/// Emulates  include/linux/netdevice.h: __is_skb_forwardable(), the length half.
/// Shape     data: at least kEthHeaderBytes of the frame.
[[nodiscard]] inline bool is_skb_forwardable(const Device& peer, const Frame& frame,
                                             const std::byte* data) {
  if (broken(Stage::forward)) return true;
  const std::uint32_t most = peer.mtu + kEthHeaderBytes + kVlanBytes;
  if (frame.len <= most || skb_is_gso(frame.meta)) [[likely]]
    return true;
  return skb_len(frame.len, load_be16(data + kEthHeaderBytes - 2)) <= most;
}

}  // namespace vethd

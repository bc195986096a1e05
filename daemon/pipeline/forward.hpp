// May the frame enter its peer at all?
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"

namespace vethd {

/// Whether the frame is a segmentation super-frame.
///
/// Emulates  include/linux/skbuff.h: skb_is_gso(). A TAP describes a frame with a gso_type only if
///           the kernel saw it so, so the length need not be looked at again.
[[nodiscard]] inline bool skb_is_gso(const FrameMeta& meta) { return meta.gso_type != 0; }

/// Whether the length suits the receiver: its mtu, a header and one VLAN tag. The sender's mtu was
/// its own stack's business. A tag the sender's stack inserted counts here, because a TAP delivers
/// it in the bytes; the kernel keeps it beside them.
///
/// Emulates  include/linux/netdevice.h: __is_skb_forwardable(), the length half.
[[nodiscard]] inline bool is_skb_forwardable(const Device& peer, const Frame& frame) {
  if (broken(Stage::forward)) return true;
  return frame.len <= peer.mtu + kEthHeaderBytes + kVlanBytes || skb_is_gso(frame.meta);
}

}  // namespace vethd

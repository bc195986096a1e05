// Crossing to another device: what of a frame's metadata must not come along.
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"

namespace vethd {

/// Clears what could break the isolation of namespaces. xnet: the namespace changes.
///
/// Emulates  net/core/skbuff.c: skb_scrub_packet() of 6.18, with skb_clear_tstamp(). Since 4.19 the
///           socket is not orphaned here, so the sender's classid crosses.
inline void skb_scrub_packet(FrameMeta& meta, bool xnet) {
  meta.pkt_type = PacketType::host;
  meta.skb_iif = 0;
  // ignore_df, dst, extensions, conntrack, nf_trace, fwd marks, ipvs: all of them, always.
  meta.references = 0;
  if (!xnet) return;
  meta.mark = 0;
  if (meta.tstamp_type == TstampType::realtime) meta.tstamp = 0;  // a delivery time stays
}

/// The scrub as veth's receive side does it.
///
/// Emulates  include/linux/netdevice.h: ____dev_forward_skb(), from the scrub on.
inline void scrub(const Path& path, FrameMeta& meta) {
  if (broken(Stage::scrub)) meta = FrameMeta{};
  skb_scrub_packet(meta, path.dev.netns != path.peer.netns);
  meta.priority = 0;
}

}  // namespace vethd

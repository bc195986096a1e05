// Crossing to another device: what of a frame's metadata must not come along.
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/rules.hpp"

namespace vethd {

/// Emulates  include/linux/skbuff.h: skb_clear_tstamp() and what stood in its place before.
inline void clear_tstamp(const Rules& rules, FrameMeta& meta, bool xnet) {
  const bool kept = rules.scrub_tstamp == Rules::Tstamp::if_xnet_not_monotonic
                        ? meta.tstamp_type == TstampType::monotonic
                        : rules.scrub_tstamp == Rules::Tstamp::if_xnet_not_delivery &&
                              meta.tstamp_type != TstampType::realtime;
  if ((xnet || rules.scrub_tstamp == Rules::Tstamp::always) && !kept) meta.tstamp = 0;
}

/// Clears what could break the isolation of namespaces. xnet: the namespace changes.
///
/// Emulates  net/core/skbuff.c: skb_scrub_packet().
inline void skb_scrub_packet(const Rules& rules, FrameMeta& meta, bool xnet) {
  meta.pkt_type = PacketType::host;
  meta.skb_iif = 0;
  // ignore_df, dst, extensions, conntrack, nf_trace, ipvs: all of them, always.
  meta.references &= rules.scrub_clears_fwd_mark ? 0 : kRefFwdMark;
  clear_tstamp(rules, meta, xnet);
  if (!xnet) return;
  meta.mark = 0;
  if (rules.scrub_orphans) meta.classid = 0;
}

/// The scrub as veth's receive side does it, with what it took away counted.
///
/// Emulates  include/linux/netdevice.h: ____dev_forward_skb(), from the scrub on.
inline void scrub(const Rules& rules, Path& path, FrameMeta& meta) {
  if (broken(Stage::scrub)) meta = FrameMeta{};
  const std::uint32_t mark = meta.mark;
  const std::uint32_t classid = meta.classid;
  skb_scrub_packet(rules, meta, rules.scrubs_as_xnet || path.dev.netns != path.peer.netns);
  if (meta.mark != mark) ++path.counters.mark_cleared;
  if (meta.classid != classid) ++path.counters.classid_cleared;
  if (meta.priority != 0) ++path.counters.priority_cleared;
  meta.priority = 0;
}

}  // namespace vethd

// Crossing to another device: what of a frame's metadata must not come along.
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/rules.hpp"

namespace vethd {

/// Emulates  include/linux/skbuff.h: skb_clear_tstamp() and what stood in its place before.
inline void clear_tstamp(const Rules& rules, FrameMeta& meta, bool xnet) {
  if (meta.tstamp == 0) return;
  const bool kept = rules.scrub_tstamp == Rules::Tstamp::if_xnet_not_monotonic
                        ? meta.tstamp_type == TstampType::monotonic
                        : rules.scrub_tstamp == Rules::Tstamp::if_xnet_not_delivery &&
                              meta.tstamp_type != TstampType::realtime;
  if ((xnet || rules.scrub_tstamp == Rules::Tstamp::always) && !kept) meta.tstamp = 0;
}

/// Clears one value, and counts if there was any.
inline void clear(std::uint32_t& value, std::uint64_t& counter) {
  if (value == 0) return;
  value = 0;
  ++counter;
}

/// Clears what could break the isolation of namespaces. xnet: the namespace changes.
///
/// Emulates  net/core/skbuff.c: skb_scrub_packet().
inline void skb_scrub_packet(const Rules& rules, FrameMeta& meta, bool xnet, Counters& counters) {
  meta.pkt_type = PacketType::host;
  meta.skb_iif = 0;
  // ignore_df, dst, extensions, conntrack, nf_trace, ipvs: all of them, always.
  if (meta.references != 0) meta.references &= rules.scrub_clears_fwd_mark ? 0 : kRefFwdMark;
  clear_tstamp(rules, meta, xnet);
  if (!xnet) return;
  clear(meta.mark, counters.mark_cleared);
  if (rules.scrub_orphans) clear(meta.classid, counters.classid_cleared);
}

/// The scrub as veth's receive side does it.
///
/// Emulates  include/linux/netdevice.h: ____dev_forward_skb(), from the scrub on.
inline void scrub(const Rules& rules, Path& path, FrameMeta& meta) {
  if (broken(Stage::scrub)) meta = FrameMeta{};
  if (!meta.carries_anything()) return;
  const bool xnet = path.dev.netns != path.peer.netns;
  skb_scrub_packet(rules, meta, rules.scrubs_as_xnet || xnet, path.counters);
  clear(meta.priority, path.counters.priority_cleared);
}

}  // namespace vethd

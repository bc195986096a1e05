// What an XDP hook keeps to itself: that a frame's checksum is unfinished.
#pragma once

#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

/// For frames that an AF_XDP socket has from a device in software (veth, tap), whose senders leave
/// checksums to a card that never comes: CHECKSUM_PARTIAL is lost on the way through XDP. Such a
/// field of TCP or UDP holds the sum of the pseudo-header and is taken for it; a finished one is
/// the same by chance once in 65536 times, and then finishing it again changes nothing. That of
/// SCTP holds zero; a virtio-net header cannot speak of it, so it is finished here.
///
/// Shape  looks behind VLAN tags, MPLS, PPPoE, IP in IP, GRE and the UDP tunnels of
///        encapsulation.hpp, 15 headers at most. Behind UDP with a checksum, that one has to agree.
/// Never  for frames off a wire: one that arrived damaged could be mended so.
void mark_unfinished_checksum(Frame& frame, const Arena& arena);

}  // namespace vethd

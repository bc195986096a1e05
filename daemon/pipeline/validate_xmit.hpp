// Frames for a device that takes nothing but finished ones.
#pragma once

#include <cstddef>

#include "daemon/frame/list.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

/// What leaves becomes what a network card without offloads can send: super-frames are split,
/// checksums finished. What is done with goes to `spent`: super-frames whose segments are in their
/// place, and frames dropped, with the reason counted.
///
/// room: plain frames that the device would take now. A super-frame is split no further: a sender
/// of super-frames gets no more of the pool's chunks than the device's ring was planned to hold.
///
/// A plain frame with a finished checksum is not touched. One whose checksum is unfinished gets it
/// where it lies. Only a super-frame costs a copy, of its payload and in the same pass as the sum.
///
/// Emulates  net/core/dev.c: validate_xmit_skb() for a device without features: skb_gso_segment(),
///           skb_checksum_help().
/// Shape     `leaving` keeps its order. Segments lie in chunks of `pool`.
/// Never     allocates beyond the pool, reads a clock, or makes a system call.
void validate_xmit(FrameList& leaving, std::size_t room, FramePool& pool, Counters& counters,
                   FrameList& spent);

/// Finishes the checksum of a frame that asks for it. False: where it should be is not in the
/// frame.
///
/// Emulates  skb_checksum_help().
bool finish_checksum(Frame& frame, const Arena& arena);

}  // namespace vethd

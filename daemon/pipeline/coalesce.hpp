// Merge on delivery: frames of one flow that leave one behind the other are written as one.
#pragma once

#include "daemon/frame/arena.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/gro_rules.hpp"

namespace vethd {

// Only what the receiver's stack can split into the same frames again. IPv4 ids are the exception:
// it counts them up from the first one's, so equal ones come out different where DF says that
// nobody needs them (RFC 6864).
inline constexpr GroRules kCoalesceRules{
    .cwr_compared = true, .constant_id_needs_df = true, .udp_network_compared = true};

/// Of frames that go to one endpoint, in order: one that follows on the frame before it joins its
/// chain.
///
/// This is no GRO and emulates nothing: the ledger goes on counting the frames that there were, and
/// a receiver with GRO or an XDP program gets its frames as those leave them. Streams, datagrams
/// and order stay what they were; no frame overtakes another, whatever its flow. What acts on each
/// packet in the receiving stack, as ICMP errors, limits and raw sockets do, acts on the merged
/// one; so sender.coalesce says whether anything may be merged at all.
///
/// Never  allocates, reads a clock, or makes a system call; changes a frame that stays alone.
void coalesce(FrameList& leaving, const Device& sender, const Device& receiver, const Arena& arena);

}  // namespace vethd

// A frame has left one end of the pair; this takes it to where it waits at the other. Read this
// file to follow a frame from the sending device to that queue; softnet.cpp and veth_rq.cpp take it
// from there.
#pragma once

#include "daemon/frame/arena.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/pipeline/napi.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {

/// Where veth_xmit() left the frame.
enum class Xmit : std::uint8_t {
  queued,   // some CPU's backlog or a receive queue's ring holds it
  dropped,  // it is still in the caller's hand; the path has counted why
  busy,     // it is still in the caller's hand, uncounted; its tx queue is stopped
  unsure    // the same, but nothing is stopped: it would be dropped, unless path.peer, as it is
            // known, is old news. Only where path.can_ask
};

/// One frame, sent at path.dev, on its way into path.peer.
///
/// Emulates  drivers/net/veth.c: veth_xmit(), veth_forward_skb(), veth_xdp_rx(); net/core/dev.c:
///           __dev_forward_skb(), netif_rx_internal(). A frame too short for its Ethernet header
///           ends here in all versions.
/// Shape     data: the frame's bytes.
Xmit veth_xmit(Path& path, Frame& frame, const std::byte* data, Outside& outside);

/// Whether all frames of this path go to the backlog of this CPU, one like the other, so that they
/// can be sent as a list.
[[nodiscard]] bool takes_lists(const Path& path);

/// veth_xmit() of each frame, in order, on a path that takes lists; what is dropped is released.
/// What stays in the list begins with a frame of which it is unsure.
/// Nothing else of this CPU can come between them, so what is the same for all is done once.
void veth_xmit_list(Path& path, FrameList& frames, const Arena& arena, Outside& outside);

/// Whether frames to this device can take the NAPI path at all: its queues poll.
///
/// Emulates  veth_open(), veth_xdp_set(), veth_set_features(): rq->napi is set.
[[nodiscard]] bool napi_enabled(const Rules& rules, const Device& peer);

/// The receive queue that merges frames from the sender's queue of this index; nullptr: none does.
[[nodiscard]] VethRq* merging_queue(const Path& path, QueueId queue);

}  // namespace vethd

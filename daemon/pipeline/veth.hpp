// A frame has left one end of the pair; this takes it to the receiver's backlog. Read this file to
// follow a frame from the sending device to the queue it waits in; softnet.cpp takes it from there.
#pragma once

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {

/// Where veth_xmit() left the frame.
enum class Xmit : std::uint8_t {
  queued,  // some CPU's backlog holds it
  dropped  // it is still in the caller's hand; the path has counted why
};

/// One frame, sent at path.dev, on its way into path.peer.
///
/// Emulates  drivers/net/veth.c: veth_xmit(), veth_forward_skb() without NAPI; net/core/dev.c:
///           __dev_forward_skb(), netif_rx_internal(); of 6.18.
/// Shape     data: the frame's bytes.
Xmit veth_xmit(Path& path, Frame& frame, const std::byte* data, RemoteCpu& remote);

}  // namespace vethd

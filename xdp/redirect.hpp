// Our own XDP program on a device: steers frames into AF_XDP sockets.
#pragma once

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "xdp/link.hpp"
#include "xdp/steering.hpp"
#include "xdp/xsk_mode.hpp"

namespace vethd {

/// redirect.bpf.c, loaded with its steering and attached. Goes with this object or with the
/// process.
///
/// Errors  XdpLink's; a kernel that does not let us load it.
class Redirect {
 public:
  static Result<Redirect> attach(const Netns& ns, int ifindex, const Steering& steering,
                                 XskMode mode, bool multi_buffer);

  /// From now on the queue's frames go to this socket. The socket leaves by itself when it closes;
  /// frames of a queue without one pass to the stack.
  Result<void> add(QueueId queue, int xsk_fd);

  /// False once somebody has detached it by force, or the device is gone.
  [[nodiscard]] bool attached() const { return link_.attached(); }

 private:
  Redirect(XdpLink link, Fd sockets) : link_(std::move(link)), sockets_(std::move(sockets)) {}

  XdpLink link_;
  Fd sockets_;  // the map
};

}  // namespace vethd

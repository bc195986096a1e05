// Our own XDP program on a device: steers frames into AF_XDP sockets.
#pragma once

#include <cstdint>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "xdp/link.hpp"
#include "xdp/steering.hpp"
#include "xdp/xsk_mode.hpp"

namespace vethd {

/// Where the outer VLAN tag of a frame may be when a device hands it over.
enum class OuterTag : std::uint8_t {
  in_bytes,
  in_metadata  // beside the frame: redirect_tag.bpf.c puts it back
};

/// redirect.bpf.c or redirect_tag.bpf.c, loaded with its steering and attached. Goes with this
/// object or with the process.
///
/// Errors  XdpLink's; a kernel that does not let us load it. OuterTag::in_metadata needs Linux 6.8,
///         and cannot be had in generic mode.
class Redirect {
 public:
  static Result<Redirect> attach(const Netns& ns, int ifindex, const Steering& steering,
                                 XskMode mode, bool multi_buffer,
                                 OuterTag outer_tag = OuterTag::in_bytes);

  /// From now on the queue's frames go to this socket. The socket leaves by itself when it closes;
  /// frames of a queue without one pass to the stack.
  Result<void> add(QueueId queue, int xsk_fd);

  /// False once somebody has detached it by force, or the device is gone.
  [[nodiscard]] bool attached() const { return link_.attached(); }

 private:
  template <class Opened>
  static Result<Redirect> attach(const Netns& ns, int ifindex, const Opened& opened, XskMode mode);
  Redirect(XdpLink link, Fd sockets) : link_(std::move(link)), sockets_(std::move(sockets)) {}

  XdpLink link_;
  Fd sockets_;  // the map
};

}  // namespace vethd

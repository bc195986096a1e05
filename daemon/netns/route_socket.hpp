// How every rtnetlink socket here is opened.
#pragma once

#include <memory>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

struct nl_sock;

namespace vethd {

struct FreeRouteSocket {
  void operator()(nl_sock* socket) const;
};
using RouteSocket = std::unique_ptr<nl_sock, FreeRouteSocket>;

/// A libnl socket of NETLINK_ROUTE inside ns; extra_flags as SOCK_NONBLOCK.
///
/// The kernel chooses its port. libnl's own choice ends at 1024 sockets in a process, and there are
/// two for each namespace.
Result<RouteSocket> open_route_socket(const Netns& ns, int extra_flags);

}  // namespace vethd

#include "daemon/netns/route_socket.hpp"

#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>

#include "daemon/core/fd.hpp"

namespace vethd {

void FreeRouteSocket::operator()(nl_sock* socket) const { ::nl_socket_free(socket); }

Result<RouteSocket> open_route_socket(const Netns& ns, int extra_flags) {
  const std::string doing = "open a netlink socket in network namespace " + ns.label();
  Result<Fd> fd = in_netns(ns, [&]() -> Result<Fd> {
    Fd made{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | extra_flags, NETLINK_ROUTE)};
    if (!made.is_open()) return fail(doing);
    return made;
  });
  if (!fd) return pass(std::move(fd));

  sockaddr_nl any_port{};
  any_port.nl_family = AF_NETLINK;
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&any_port), sizeof any_port) < 0) {
    return fail(doing);
  }
  RouteSocket socket{::nl_socket_alloc()};
  if (socket == nullptr) return fail(doing, "", ENOMEM);
  if (const int error = ::nl_socket_set_fd(socket.get(), NETLINK_ROUTE, fd->get()); error < 0) {
    return fail(doing, ::nl_geterror(error), 0);
  }
  static_cast<void>(fd->release());  // the libnl socket closes it
  return socket;
}

}  // namespace vethd

#include "daemon/netns/link_monitor.hpp"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace vethd {
namespace {

// An RTM_NEWLINK takes about 4 KiB of the socket's memory: room for some 256 of them between two
// reads. More is an overrun, which costs a walk over the devices and nothing else.
constexpr int kReceiveBufferBytes = 1 << 20;

void on_link(nl_object* object, void* sink) {
  auto& event = *static_cast<LinkEvent*>(sink);
  auto* link = reinterpret_cast<rtnl_link*>(object);
  event.link = link_state(link);
}

/// Collects; the owner's sink runs later, for libnl's C code must not see its exceptions.
int on_message(nl_msg* message, void* arg) {
  auto& events = *static_cast<std::vector<LinkEvent>*>(arg);
  const nlmsghdr* header = ::nlmsg_hdr(message);
  if (header->nlmsg_type == RTM_NEWQDISC || header->nlmsg_type == RTM_DELQDISC) {
    const auto* qdisc = static_cast<const tcmsg*>(::nlmsg_data(header));
    if (::nlmsg_valid_hdr(header, sizeof *qdisc))
      events.emplace_back().link.ifindex = qdisc->tcm_ifindex;
    return NL_OK;
  }
  if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) return NL_OK;
  // A device that leaves a bridge is announced by RTM_DELLINK, too, of family AF_BRIDGE.
  const auto* info = static_cast<const ifinfomsg*>(::nlmsg_data(header));
  if (!::nlmsg_valid_hdr(header, sizeof *info) || info->ifi_family != AF_UNSPEC) return NL_OK;
  LinkEvent event;
  event.kind =
      header->nlmsg_type == RTM_DELLINK ? LinkEvent::Kind::removed : LinkEvent::Kind::changed;
  if (::nl_msg_parse(message, &on_link, &event) < 0) event.kind = LinkEvent::Kind::overrun;
  events.push_back(std::move(event));
  return NL_OK;
}

}  // namespace

Result<LinkMonitor> LinkMonitor::open(const Netns& ns) {
  const std::string doing = "watch the links of network namespace " + ns.label();
  Result<RouteSocket> socket = open_route_socket(ns, SOCK_NONBLOCK);
  if (!socket) return pass(std::move(socket));
  const int fd = ::nl_socket_get_fd(socket->get());
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes,
                   sizeof kReceiveBufferBytes) < 0) {
    return fail(doing, "needs CAP_NET_ADMIN");
  }
  ::nl_socket_disable_seq_check(socket->get());  // events answer no request
  for (const int group : {RTNLGRP_LINK, RTNLGRP_TC})
    if (const int error = ::nl_socket_add_membership(socket->get(), group); error < 0)
      return fail(doing, ::nl_geterror(error), 0);
  return LinkMonitor{std::move(*socket), ns.label()};
}

LinkMonitor::LinkMonitor(RouteSocket socket, std::string label)
    : events_(std::make_unique<std::vector<LinkEvent>>()),
      socket_(std::move(socket)),
      label_(std::move(label)) {
  ::nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, &on_message, events_.get());
}

LinkMonitor::LinkMonitor(LinkMonitor&&) noexcept = default;
LinkMonitor& LinkMonitor::operator=(LinkMonitor&&) noexcept = default;
LinkMonitor::~LinkMonitor() = default;

int LinkMonitor::fd() const { return ::nl_socket_get_fd(socket_.get()); }

Result<bool> LinkMonitor::read(const Sink& sink) {
  for (int messages = 0; messages < kMessagesPerRead; ++messages) {
    events_->clear();
    const int error = ::nl_recvmsgs_default(socket_.get());
    if (error == -NLE_AGAIN) return false;
    // libnl says NOMEM for the kernel's ENOBUFS: the socket's buffer was full, events are lost.
    if (error == -NLE_NOMEM)
      events_->emplace_back().kind = LinkEvent::Kind::overrun;
    else if (error < 0) {
      return fail("read link events of network namespace " + label_, ::nl_geterror(error), 0);
    }
    for (const LinkEvent& event : *events_) sink(event);
  }
  return true;
}

}  // namespace vethd

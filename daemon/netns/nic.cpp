#include "daemon/netns/nic.hpp"

#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <span>
#include <utility>

#include "daemon/core/fd.hpp"
#include "daemon/core/panic.hpp"
#include "daemon/netns/ethtool.hpp"
#include "daemon/netns/route_socket.hpp"

namespace vethd {
namespace {

/// Any socket of a namespace takes device ioctls.
Result<Fd> device_socket(const Netns& ns) {
  return in_netns(ns, [&]() -> Result<Fd> {
    Fd made{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!made.is_open()) return fail("open a socket in network namespace " + ns.label());
    return made;
  });
}

std::unexpected<Error> failure(const std::string& doing, Error error) {
  error.doing = doing;
  if (error.hint.empty() && error.code == EPERM) error.hint = "needs CAP_NET_ADMIN";
  if (error.hint.empty() && error.code == ENODEV) error.hint = "no such device in this namespace";
  return std::unexpected(std::move(error));
}

template <std::size_t N>
std::string text_of(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

/// The queues the device was made with.
Result<void> read_made_queues(const Netns& ns, const std::string& ifname, NicInfo& info) {
  const auto socket = open_route_socket(ns, 0);
  if (!socket) return std::unexpected(socket.error());
  rtnl_link* found = nullptr;
  const int error = ::rtnl_link_get_kernel(socket->get(), 0, ifname.c_str(), &found);
  if (error < 0) return fail({}, ::nl_geterror(error), error == -NLE_NODEV ? ENODEV : 0);
  const std::unique_ptr<rtnl_link, decltype(&::rtnl_link_put)> link{found, &::rtnl_link_put};
  info.rx_queues = ::rtnl_link_get_num_rx_queues(link.get());
  info.tx_queues = ::rtnl_link_get_num_tx_queues(link.get());
  return {};
}

struct VlanStripping {
  ethtool::Bit bit;
  std::uint32_t blocks = 0;
  ethtool::FeatureState state;

  static Result<VlanStripping> read(int socket, const std::string& ifname) {
    const auto names = ethtool::feature_names(socket, ifname);
    if (!names) return std::unexpected(names.error());
    VlanStripping read{.bit = ethtool::find(*names, "rx-vlan-hw-parse"),
                       .blocks = ethtool::blocks(names->size()),
                       .state = {}};
    auto state = ethtool::feature_state(socket, ifname, read.blocks);
    if (!state) return pass(std::move(state));
    read.state = std::move(*state);
    return read;
  }
};

struct RouteSearch {
  bool found = false;
  int code = 0;  // errno

  static int on_route(nl_msg* message, void* self) {
    const auto* route = static_cast<const rtmsg*>(::nlmsg_data(::nlmsg_hdr(message)));
    if (route->rtm_dst_len == 0 && route->rtm_type == RTN_UNICAST)
      static_cast<RouteSearch*>(self)->found = true;
    return NL_OK;
  }
  /// A dump that fails says so in its last message, which libnl does not look at.
  static int on_end(nl_msg* message, void* self) {
    const nlmsghdr* header = ::nlmsg_hdr(message);
    if (::nlmsg_datalen(header) >= static_cast<int>(sizeof(int)))
      static_cast<RouteSearch*>(self)->code = -*static_cast<const int*>(::nlmsg_data(header));
    return NL_OK;
  }
  static int on_error(sockaddr_nl* /*from*/, nlmsgerr* error, void* self) {
    static_cast<RouteSearch*>(self)->code = -error->error;
    return NL_STOP;
  }
};

/// Only the routes of one table through one device: the kernel sorts out the others.
Result<bool> has_default_route(nl_sock* socket, int family, int ifindex) {
  RouteSearch search;
  ::nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &RouteSearch::on_route, &search);
  ::nl_socket_modify_cb(socket, NL_CB_FINISH, NL_CB_CUSTOM, &RouteSearch::on_end, &search);
  ::nl_socket_modify_err_cb(socket, NL_CB_CUSTOM, &RouteSearch::on_error, &search);
  const std::unique_ptr<nl_msg, decltype(&::nlmsg_free)> message{
      ::nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP), &::nlmsg_free};
  rtmsg header{};
  header.rtm_family = static_cast<unsigned char>(family);
  header.rtm_table = RT_TABLE_MAIN;
  const bool built =
      message != nullptr &&
      ::nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) == 0 &&
      ::nla_put_u32(message.get(), RTA_OIF, static_cast<std::uint32_t>(ifindex)) == 0;
  invariant(built, "a netlink request fits into a page");
  int error = ::nl_send_auto(socket, message.get());
  if (error >= 0) error = ::nl_recvmsgs_default(socket);
  switch (search.code) {
    case 0:
      if (error < 0) return fail({}, ::nl_geterror(error), 0);
      return search.found;
    case ENOENT:  // no route was ever made in this table
    case EOPNOTSUPP:
    case EAFNOSUPPORT:  // no such protocol in this kernel
      return false;
    default:
      return fail({}, {}, search.code);
  }
}

}  // namespace

Result<NicInfo> nic_info(const Netns& ns, const std::string& ifname) {
  const std::string doing = "ask the driver of " + ns.label() + "/" + ifname;
  const auto socket = device_socket(ns);
  if (!socket) return std::unexpected(socket.error());
  NicInfo info;
  ifreq address{};
  ifname.copy(address.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(socket->get(), SIOCGIFHWADDR, &address) < 0)
    return failure(doing, Error{.code = errno, .doing = {}, .hint = {}});
  info.ethernet = address.ifr_hwaddr.sa_family == ARPHRD_ETHER;

  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (auto sent = ethtool::send(socket->get(), ifname, &driver)) {
    info.driver = text_of(driver.driver);
    info.bus = text_of(driver.bus_info);
  } else if (sent.error().code != EOPNOTSUPP) {
    return failure(doing, sent.error());
  }

  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (auto sent = ethtool::send(socket->get(), ifname, &channels)) {
    info.rx_queues = channels.combined_count + channels.rx_count;
    info.tx_queues = channels.combined_count + channels.tx_count;
    info.max_combined = channels.max_combined;
  } else if (sent.error().code != EOPNOTSUPP) {
    return failure(doing, sent.error());
  } else if (auto read = read_made_queues(ns, ifname, info); !read) {
    return failure(doing, read.error());
  }

  const auto vlan = VlanStripping::read(socket->get(), ifname);
  if (!vlan) return failure(doing, vlan.error());
  info.vlan_stripping = vlan->state.active(vlan->bit);
  return info;
}

Result<void> set_vlan_stripping(int socket, const std::string& ifname, bool on) {
  const auto vlan = VlanStripping::read(socket, ifname);
  if (!vlan) return std::unexpected(vlan.error());
  if (vlan->state.active(vlan->bit) == on) return {};
  if (!vlan->state.changeable(vlan->bit)) {
    return fail({}, "its driver has no switch for rx-vlan-hw-parse", EOPNOTSUPP);
  }
  ethtool::Request<ethtool_sfeatures, ethtool_set_features_block> request{
      {.cmd = ETHTOOL_SFEATURES, .size = vlan->blocks}, vlan->blocks};
  ethtool_set_features_block& block = request.table()[*vlan->bit / ethtool::kBlockBits];
  block.valid = ethtool::mask(*vlan->bit);
  block.requested = on ? block.valid : 0;
  const auto sent = request.send(socket, ifname);
  if (!sent) return std::unexpected(sent.error());
  // ETHTOOL_F_WISH and its like: accepted, and something else keeps it as it was.
  if (*sent != 0) return fail({}, "its driver keeps rx-vlan-hw-parse as it is", EOPNOTSUPP);
  return {};
}

Result<void> set_vlan_stripping(const Netns& ns, const std::string& ifname, bool on) {
  const auto socket = device_socket(ns);
  if (!socket) return std::unexpected(socket.error());
  auto set = set_vlan_stripping(socket->get(), ifname, on);
  if (set) return set;
  return failure(std::string{"switch VLAN stripping "} + (on ? "on" : "off") + " at " + ns.label() +
                     "/" + ifname,
                 set.error());
}

Result<bool> holds_default_route(const Netns& ns, int ifindex) {
  const std::string doing =
      "look for default routes through " + ns.label() + "/#" + std::to_string(ifindex);
  const auto socket = open_route_socket(ns, 0);
  if (!socket) return std::unexpected(socket.error());
  // Only then the kernel looks at what a dump asks for.
  const int on = 1;
  if (::setsockopt(::nl_socket_get_fd(socket->get()), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on,
                   sizeof on) < 0) {
    return fail(doing);
  }
  for (const int family : {AF_INET, AF_INET6}) {
    const auto found = has_default_route(socket->get(), family, ifindex);
    if (!found) return failure(doing, found.error());
    if (*found) return true;
  }
  return false;
}

}  // namespace vethd

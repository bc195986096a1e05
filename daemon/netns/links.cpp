#include "daemon/netns/links.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/attr.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/netns/ethtool.hpp"

namespace vethd {
namespace {

// Threads that remove_groups() uses at most, itself among them.
constexpr std::size_t kRemovers = 64;

struct FreeMessage {
  void operator()(nl_msg* message) const { ::nlmsg_free(message); }
};
struct FreeAddress {
  void operator()(rtnl_addr* address) const { ::rtnl_addr_put(address); }
};
struct FreeCache {
  void operator()(nl_cache* cache) const { ::nl_cache_free(cache); }
};
struct FreeQdisc {
  void operator()(rtnl_qdisc* qdisc) const { ::rtnl_qdisc_put(qdisc); }
};
struct FreeNlAddress {
  void operator()(nl_addr* address) const { ::nl_addr_put(address); }
};

/// One request under construction.
class Message {
 public:
  template <class Header>
  Message(int type, int flags, Header header) : message_(::nlmsg_alloc_simple(type, flags)) {
    put(message_ != nullptr ? ::nlmsg_append(message_.get(), &header, sizeof header, NLMSG_ALIGNTO)
                            : -NLE_NOMEM);
  }
  void u32(int attribute, std::uint32_t value) {
    put(::nla_put_u32(message_.get(), attribute, value));
  }
  void text(int attribute, const std::string& value) {
    put(::nla_put_string(message_.get(), attribute, value.c_str()));
  }
  void mac(int attribute, const MacAddress& value) {
    put(::nla_put(message_.get(), attribute, static_cast<int>(value.bytes.size()),
                  value.bytes.data()));
  }
  nl_msg* release() { return message_.release(); }

 private:
  static void put(int error) { invariant(error >= 0, "a netlink request fits into a page"); }
  std::unique_ptr<nl_msg, FreeMessage> message_;
};

const char* remedy(int code) {
  switch (code) {
    case EPERM:
      return "needs CAP_NET_ADMIN in this namespace";
    case ENODEV:
      return "no such device in this namespace";
    default:
      return "";
  }
}

}  // namespace

struct Links::Reply {
  int code = 0;       // errno
  std::string words;  // extended ack; may be empty
  std::optional<LinkState> link;

  /// What libnl does not read it leaves in the message.
  static int on_message(nl_msg* message, void* self) {
    const auto parsed = [](nl_object* object, void* reply) {
      static_cast<Reply*>(reply)->link = link_state(reinterpret_cast<rtnl_link*>(object));
    };
    auto& reply = *static_cast<Reply*>(self);
    nlmsghdr* const header = ::nlmsg_hdr(message);
    if (header->nlmsg_type != RTM_NEWLINK || ::nl_msg_parse(message, parsed, self) < 0 ||
        !reply.link)
      return NL_OK;
    if (nlattr* const xdp = ::nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_XDP)) {
      const auto id = [&](int attribute) {
        const nlattr* const found =
            ::nla_find(static_cast<nlattr*>(::nla_data(xdp)), ::nla_len(xdp), attribute);
        return found == nullptr ? 0 : ::nla_get_u32(found);
      };
      reply.link->native_xdp = id(IFLA_XDP_DRV_PROG_ID);
      reply.link->generic_xdp = id(IFLA_XDP_SKB_PROG_ID);
    }
    return NL_OK;
  }

  /// libnl's own error codes merge many of the kernel's: keep the original.
  static int on_error(sockaddr_nl* /*from*/, nlmsgerr* error, void* self) {
    auto& reply = *static_cast<Reply*>(self);
    reply.code = -error->error;
    auto* header = reinterpret_cast<nlmsghdr*>(reinterpret_cast<char*>(error) - NLMSG_HDRLEN);
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
      const nlattr* words = ::nlmsg_find_attr(header, sizeof(nlmsgerr), NLMSGERR_ATTR_MSG);
      if (words != nullptr) reply.words = ::nla_get_string(words);
    }
    return NL_STOP;
  }
};

Result<Links> Links::open(const Netns& ns) {
  Result<RouteSocket> socket = open_route_socket(ns, 0);
  if (!socket) return pass(std::move(socket));
  // The kernel's words on an error, without a copy of the request before them.
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK}) {
    if (::setsockopt(::nl_socket_get_fd(socket->get()), SOL_NETLINK, option, &on, sizeof on) < 0) {
      return fail("set up a netlink socket in network namespace " + ns.label());
    }
  }
  return Links{std::move(*socket), ns.label()};
}

Links::Links(RouteSocket socket, std::string label)
    : reply_(std::make_unique<Reply>()), socket_(std::move(socket)), label_(std::move(label)) {
  ::nl_socket_modify_err_cb(socket_.get(), NL_CB_CUSTOM, &Reply::on_error, reply_.get());
  ::nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, &Reply::on_message, reply_.get());
}

Links::Links(Links&&) noexcept = default;
Links& Links::operator=(Links&&) noexcept = default;
Links::~Links() = default;

Result<LinkState> Links::query(int ifindex, const char* ifname, std::string doing) {
  *reply_ = {};
  nl_msg* built = nullptr;
  int error = ::rtnl_link_build_get_request(ifindex, ifname, &built);
  const std::unique_ptr<nl_msg, FreeMessage> message{built};
  if (error >= 0) error = ::nl_send_auto(socket_.get(), built);
  if (error >= 0) error = ::nl_recvmsgs_default(socket_.get());  // the link, or an error
  if (error >= 0) error = ::nl_wait_for_ack(socket_.get());
  if (error < 0) return failure(std::move(doing), error);
  if (!reply_->link) return fail(std::move(doing), "the kernel's answer cannot be read", 0);
  return std::move(*reply_->link);
}

Result<LinkState> Links::get(int ifindex) {
  return query(ifindex, nullptr, "look at " + label_ + "/#" + std::to_string(ifindex));
}

Result<LinkState> Links::find(const std::string& ifname) {
  return query(0, ifname.c_str(), "look at " + label_ + "/" + ifname);
}

std::unexpected<Error> Links::failure(std::string doing, int libnl_error) const {
  if (reply_->code == 0) return fail(std::move(doing), ::nl_geterror(libnl_error), 0);
  return fail(std::move(doing), reply_->words.empty() ? remedy(reply_->code) : reply_->words,
              reply_->code);
}

std::string Links::subject(int ifindex) {
  const Result<LinkState> link = get(ifindex);
  return link ? label_ + "/" + link->name : label_ + "/#" + std::to_string(ifindex);
}

Result<void> Links::request(nl_msg* message, const char* doing, int ifindex) {
  *reply_ = {};
  const int error = ::nl_send_sync(socket_.get(), message);  // frees the message
  if (error >= 0) return {};
  std::unexpected<Error> failed = failure({}, error);  // before the next request
  failed.error().doing = std::string{doing} + " " + subject(ifindex);
  return failed;
}

Result<void> Links::configure(int ifindex, const LinkConfig& config) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  if (config.up) {
    header.ifi_change = IFF_UP;
    header.ifi_flags = *config.up ? IFF_UP : 0;
  }
  Message message{RTM_NEWLINK, 0, header};
  if (config.mtu) message.u32(IFLA_MTU, *config.mtu);
  if (config.mac) message.mac(IFLA_ADDRESS, *config.mac);
  if (config.txqueuelen) message.u32(IFLA_TXQLEN, *config.txqueuelen);
  if (config.group) message.u32(IFLA_GROUP, *config.group);
  if (config.name) message.text(IFLA_IFNAME, *config.name);
  return request(message.release(), "configure", ifindex);
}

Result<void> Links::add_address(int ifindex, const config::Address& address) {
  const std::string doing = "add address " + address.text + " to";
  const std::size_t bytes = address.family == AF_INET ? 4 : 16;
  const std::unique_ptr<nl_addr, FreeNlAddress> local{
      ::nl_addr_build(address.family, address.bytes.data(), bytes)};
  const std::unique_ptr<rtnl_addr, FreeAddress> wanted{::rtnl_addr_alloc()};
  if (local == nullptr || wanted == nullptr)
    return fail(doing + " " + subject(ifindex), "", ENOMEM);
  ::nl_addr_set_prefixlen(local.get(), address.prefix);
  ::rtnl_addr_set_ifindex(wanted.get(), ifindex);
  if (address.family == AF_INET6) ::rtnl_addr_set_flags(wanted.get(), IFA_F_NODAD);
  nl_msg* message = nullptr;
  int error = ::rtnl_addr_set_local(wanted.get(), local.get());
  if (error >= 0) {
    error = ::rtnl_addr_build_add_request(wanted.get(), NLM_F_CREATE | NLM_F_EXCL, &message);
  }
  if (error < 0) return fail(doing + " " + subject(ifindex), ::nl_geterror(error), 0);
  return request(message, doing.c_str(), ifindex);
}

Result<void> Links::set_noqueue(int ifindex) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = ifindex;
  header.tcm_parent = TC_H_ROOT;
  Message message{RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, header};
  message.text(TCA_KIND, "noqueue");
  return request(message.release(), "replace the root qdisc by noqueue on", ifindex);
}

Result<bool> Links::has_default_qdisc(int ifindex) {
  // The kernel lists them all or tells everybody: RTM_GETQDISC for one goes to listeners, too.
  nl_cache* all = nullptr;
  if (const int error = ::rtnl_qdisc_alloc_cache(socket_.get(), &all); error < 0)
    return fail("look at the qdisc of " + subject(ifindex), ::nl_geterror(error), 0);
  const std::unique_ptr<nl_cache, FreeCache> owned{all};
  const std::unique_ptr<rtnl_qdisc, FreeQdisc> root{
      ::rtnl_qdisc_get_by_parent(all, ifindex, TC_H_ROOT)};
  return root != nullptr && ::rtnl_tc_get_handle(TC_CAST(root.get())) == 0;
}

std::unexpected<Error> Links::ethtool_failure(const char* doing, const std::string& ifname,
                                              Error error) const {
  error.doing = std::string{doing} + " " + label_ + "/" + ifname;
  if (error.hint.empty()) error.hint = remedy(error.code);
  return std::unexpected(std::move(error));
}

// Any socket of the namespace takes device ioctls.
Result<void> Links::read_feature_table(const std::string& ifname) {
  if (feature_table_) return {};
  auto table = FeatureTable::read(::nl_socket_get_fd(socket_.get()), ifname);
  if (!table) return pass(std::move(table));
  feature_table_ = *table;
  return {};
}

Result<Features> Links::features(const std::string& ifname) {
  constexpr const char* kDoing = "read the features of";
  if (auto read = read_feature_table(ifname); !read)
    return ethtool_failure(kDoing, ifname, read.error());
  auto features = feature_table_->get(::nl_socket_get_fd(socket_.get()), ifname);
  if (!features) return ethtool_failure(kDoing, ifname, features.error());
  return features;
}

Result<void> Links::set_features(const std::string& ifname, const Features& wanted) {
  constexpr const char* kDoing = "set the features of";
  if (auto read = read_feature_table(ifname); !read)
    return ethtool_failure(kDoing, ifname, read.error());
  auto set = feature_table_->set(::nl_socket_get_fd(socket_.get()), ifname, wanted);
  if (!set) return ethtool_failure(kDoing, ifname, set.error());
  return set;
}

Result<void> Links::set_speed(const std::string& ifname) {
  auto set =
      ethtool::set_link_mode(::nl_socket_get_fd(socket_.get()), ifname, SPEED_10000, DUPLEX_FULL);
  if (!set) return ethtool_failure("set the speed of", ifname, set.error());
  return set;
}

Result<void> Links::clear_gro_list(const std::string& ifname) {
  constexpr const char* kDoing = "switch rx-gro-list off on";
  if (auto read = read_feature_table(ifname); !read)
    return ethtool_failure(kDoing, ifname, read.error());
  auto cleared = feature_table_->clear_gro_list(::nl_socket_get_fd(socket_.get()), ifname);
  if (!cleared) return ethtool_failure(kDoing, ifname, cleared.error());
  return cleared;
}

Result<void> Links::remove(int ifindex) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  return request(Message{RTM_DELLINK, 0, header}.release(), "remove", ifindex);
}

Result<void> Links::remove_group(std::uint32_t group) {
  const std::string doing = "remove link group " + std::to_string(group) + " of " + label_;
  if (group == 0) return fail(doing, "0 is every device's group until it gets another", EINVAL);
  *reply_ = {};
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  Message message{RTM_DELLINK, 0, header};
  message.u32(IFLA_GROUP, group);
  const int error = ::nl_send_sync(socket_.get(), message.release());
  if (error >= 0 || reply_->code == ENODEV) return {};
  return failure(doing, error);
}

std::vector<Result<void>> remove_groups(std::span<Links* const> namespaces, std::uint32_t group) {
  std::vector<Result<void>> outcomes(namespaces.size());
  std::atomic<std::size_t> next = 0;
  const auto remove = [&] {
    for (std::size_t i = next++; i < namespaces.size(); i = next++)
      outcomes[i] = namespaces[i]->remove_group(group);
  };
  std::vector<std::jthread> helpers;
  try {
    while (helpers.size() + 1 < std::min(kRemovers, namespaces.size()))
      helpers.emplace_back(remove);
  } catch (const std::system_error&) {
    // No more threads to be had: those that are there need longer.
  }
  remove();
  helpers.clear();
  return outcomes;
}

LinkState link_state(rtnl_link* link) {
  LinkState state;
  state.ifindex = ::rtnl_link_get_ifindex(link);
  if (const char* name = ::rtnl_link_get_name(link); name != nullptr) state.name = name;
  const unsigned flags = ::rtnl_link_get_flags(link);
  state.up = (flags & IFF_UP) != 0;
  state.running = (flags & IFF_RUNNING) != 0;
  state.carrier = ::rtnl_link_get_carrier(link) != 0;
  state.mtu = ::rtnl_link_get_mtu(link);
  nl_addr* mac = ::rtnl_link_get_addr(link);
  if (mac != nullptr && ::nl_addr_get_len(mac) == state.mac.bytes.size()) {
    std::memcpy(state.mac.bytes.data(), ::nl_addr_get_binary_addr(mac), state.mac.bytes.size());
  }
  state.txqueuelen = ::rtnl_link_get_txqlen(link);
  state.group = ::rtnl_link_get_group(link);
  if (const char* qdisc = ::rtnl_link_get_qdisc(link); qdisc != nullptr) state.qdisc = qdisc;
  state.stats = {.rx_packets = ::rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS),
                 .rx_bytes = ::rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES),
                 .rx_errors = ::rtnl_link_get_stat(link, RTNL_LINK_RX_ERRORS),
                 .rx_dropped = ::rtnl_link_get_stat(link, RTNL_LINK_RX_DROPPED),
                 .tx_packets = ::rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS),
                 .tx_bytes = ::rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES),
                 .tx_errors = ::rtnl_link_get_stat(link, RTNL_LINK_TX_ERRORS),
                 .tx_dropped = ::rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED)};
  return state;
}

}  // namespace vethd

// Network devices of one namespace, through rtnetlink.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/schema.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/features.hpp"
#include "daemon/netns/namespace.hpp"
#include "daemon/netns/route_socket.hpp"

struct nl_msg;
struct rtnl_link;

namespace vethd {

/// struct rtnl_link_stats64, the device's own counters.
struct LinkStats {
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_errors = 0;
  std::uint64_t rx_dropped = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_errors = 0;
  std::uint64_t tx_dropped = 0;  // on a TAP: its own ring was full, or nobody read
};

/// A device as the kernel describes it.
struct LinkState {
  int ifindex = 0;
  std::string name;
  bool up = false;        // IFF_UP: what the administrator wants
  bool running = false;   // IFF_RUNNING: up and operational
  bool carrier = false;   // IFLA_CARRIER
  std::uint32_t mtu = 0;  // bytes
  MacAddress mac;
  std::uint32_t txqueuelen = 0;  // frames
  std::uint32_t group = 0;
  std::string qdisc;
  LinkStats stats;
  // XDP programs by id, whoever attached them; 0: none. IFLA_XDP: of Links, not of a LinkEvent.
  std::uint32_t native_xdp = 0;   // the driver runs it
  std::uint32_t generic_xdp = 0;  // the stack does
};

/// What to change; fields left out stay as they are.
struct LinkConfig {
  std::optional<bool> up = std::nullopt;
  std::optional<std::uint32_t> mtu = std::nullopt;  // bytes
  std::optional<MacAddress> mac = std::nullopt;
  std::optional<std::uint32_t> txqueuelen = std::nullopt;  // frames
  std::optional<std::uint32_t> group = std::nullopt;       // for remove_group()
  std::optional<std::string> name = std::nullopt;
};

/// One rtnetlink socket, opened inside one namespace and bound to it for life.
///
/// Each operation is one request and its answer; nothing is cached, because a cache of 2000 devices
/// would be read anew for each namespace.
///
/// Threads  one owner.
/// Errors   name namespace and device, the kernel's errno and, where it gave one, its own words.
class Links {
 public:
  static Result<Links> open(const Netns& ns);

  Links(Links&&) noexcept;
  Links& operator=(Links&&) noexcept;
  ~Links();

  Result<LinkState> get(int ifindex);
  Result<LinkState> find(const std::string& ifname);

  /// One RTM_NEWLINK for all fields; the kernel applies mac, mtu, group and name before up. Not
  /// atomic: after an error some fields may have changed.
  Result<void> configure(int ifindex, const LinkConfig& config);

  /// IPv6 addresses skip duplicate address detection (IFA_F_NODAD), and are usable at once.
  Result<void> add_address(int ifindex, const config::Address& address);

  /// Replaces the root qdisc by `noqueue`, which a veth has from birth. Do it while the device is
  /// down: replacing the qdisc of a device that is up waits for an RCU grace period.
  Result<void> set_noqueue(int ifindex);

  /// Whether the root qdisc is one that the kernel has put there by itself, and nobody has set: its
  /// handle is 0.
  Result<bool> has_default_qdisc(int ifindex);

  /// Offloads, by the names of `ethtool -K`. Of a new TAP GRO is on, of a new veth off.
  Result<Features> features(const std::string& ifname);
  /// Errors: EOPNOTSUPP for one that the device does not have.
  Result<void> set_features(const std::string& ifname, const Features& wanted);

  /// Switches rx-gro-list off, and nothing else.
  Result<void> clear_gro_list(const std::string& ifname);

  /// What `ethtool` shows of a veth: 10000 Mbit/s, full duplex. Bridges, bonds and routing
  /// protocols make a cost of it. A TAP says so by itself from Linux 6.2 on; before, 10 Mbit/s,
  /// half duplex.
  Result<void> set_speed(const std::string& ifname);

  Result<void> remove(int ifindex);

  /// Removes all devices of a group in one request, with one RCU grace period for all. Succeeds if
  /// there are none. The group of everybody else, 0, is refused.
  Result<void> remove_group(std::uint32_t group);

 private:
  struct Reply;  // what the kernel said about the last request

  Links(RouteSocket socket, std::string label);

  Result<LinkState> query(int ifindex, const char* ifname, std::string doing);
  Result<void> request(nl_msg* message, const char* doing, int ifindex);  // frees message
  Result<void> read_feature_table(const std::string& ifname);
  [[nodiscard]] std::unexpected<Error> ethtool_failure(const char* doing, const std::string& ifname,
                                                       Error error) const;
  [[nodiscard]] std::unexpected<Error> failure(std::string doing, int libnl_error) const;
  [[nodiscard]] std::string subject(int ifindex);  // "red/veth0"

  std::unique_ptr<Reply> reply_;  // the socket's callback points to it
  RouteSocket socket_;
  std::string label_;
  std::optional<FeatureTable> feature_table_;  // read when first needed
};

/// Links::remove_group() in many namespaces; what each said, in their order. A removal mostly waits
/// for RCU, 20 ms and more, and does so beside others: threads of its own take turns at the
/// namespaces.
std::vector<Result<void>> remove_groups(std::span<Links* const> namespaces, std::uint32_t group);

/// Reads libnl's parsed form; LinkMonitor's events have the same.
LinkState link_state(rtnl_link* link);

}  // namespace vethd

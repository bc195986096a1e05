#include "daemon/netns/links.hpp"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/netns/ethtool.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

class LinksTest : public PlatformTest {};

config::Address address(const std::string& text, std::uint8_t prefix) {
  config::Address parsed;
  parsed.family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  EXPECT_EQ(::inet_pton(parsed.family, text.c_str(), parsed.bytes.data()), 1);
  parsed.prefix = prefix;
  parsed.text = text + "/" + std::to_string(prefix);
  return parsed;
}

struct Assigned {
  unsigned flags = 0;
  int prefix = 0;
};

/// The address as the kernel lists it.
std::optional<Assigned> assigned(const Netns& ns, int ifindex, const config::Address& wanted) {
  const RouteSocket socket = must(open_route_socket(ns, 0));
  nl_cache* cache = nullptr;
  if (::rtnl_addr_alloc_cache(socket.get(), &cache) < 0) return std::nullopt;
  const std::unique_ptr<nl_cache, decltype(&::nl_cache_free)> owned{cache, &::nl_cache_free};
  const std::unique_ptr<nl_addr, decltype(&::nl_addr_put)> local{
      ::nl_addr_build(wanted.family, wanted.bytes.data(), wanted.family == AF_INET ? 4 : 16),
      &::nl_addr_put};
  ::nl_addr_set_prefixlen(local.get(), wanted.prefix);
  const std::unique_ptr<rtnl_addr, decltype(&::rtnl_addr_put)> found{
      ::rtnl_addr_get(cache, ifindex, local.get()), &::rtnl_addr_put};
  if (found == nullptr) return std::nullopt;
  return Assigned{.flags = ::rtnl_addr_get_flags(found.get()),
                  .prefix = ::rtnl_addr_get_prefixlen(found.get())};
}

bool gro(const Netns& ns, const std::string& ifname) {
  return must(in_netns(ns, [&]() -> Result<bool> {
    const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ethtool_value value{.cmd = ETHTOOL_GGRO, .data = 0};
    ifreq request{};
    ifname.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);
    if (::ioctl(socket.get(), SIOCETHTOOL, &request) < 0) return fail("read GRO of " + ifname);
    return value.data != 0;
  }));
}

/// Mbit/s and duplex, as `ethtool` prints them.
std::pair<std::uint32_t, int> link_mode(const Netns& ns, const std::string& ifname) {
  return must(in_netns(ns, [&]() -> Result<std::pair<std::uint32_t, int>> {
    const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ethtool_cmd command{};
    command.cmd = ETHTOOL_GSET;
    auto asked = ethtool::send(socket.get(), ifname, &command);
    if (!asked) return pass(std::move(asked));
    return std::pair(::ethtool_cmd_speed(&command), int{command.duplex});
  }));
}

double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

TEST_F(LinksTest, ConfiguresManyFieldsInOneRequest) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  const MacAddress mac{{2, 0, 0, 0, 0, 1}};
  must(links.configure(
      tap.ifindex,
      {.up = true, .mtu = 9000, .mac = mac, .txqueuelen = 77, .group = 5, .name = "veth0"}));
  const LinkState state = must(links.find("veth0"));
  EXPECT_EQ(state.ifindex, tap.ifindex);
  EXPECT_EQ(state.name, "veth0");
  EXPECT_TRUE(state.up);
  EXPECT_TRUE(state.carrier);
  EXPECT_TRUE(state.running);
  EXPECT_EQ(state.mtu, 9000U);
  EXPECT_EQ(state.mac, mac);
  EXPECT_EQ(state.txqueuelen, 77U);
  EXPECT_EQ(state.group, 5U);
}

TEST_F(LinksTest, LeavesFieldsAloneThatWereLeftOut) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true, .mtu = 2000, .txqueuelen = 50}));
  const LinkState before = must(links.get(tap.ifindex));
  must(links.configure(tap.ifindex, {.mtu = 3000}));
  const LinkState after = must(links.get(tap.ifindex));
  EXPECT_TRUE(after.up);
  EXPECT_EQ(after.mtu, 3000U);
  EXPECT_EQ(after.mac, before.mac);
  EXPECT_EQ(after.txqueuelen, 50U);
  must(links.configure(tap.ifindex, {.up = false}));
  EXPECT_FALSE(must(links.get(tap.ifindex)).up);
  EXPECT_EQ(must(links.get(tap.ifindex)).mtu, 3000U);
}

TEST_F(LinksTest, KeepsTheMulticastFlagWhenALinkGoesUpAndDown) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true}));
  must(links.configure(tap.ifindex, {.up = false}));
  const short flags = must(in_netns(ns, [&]() -> Result<short> {
    const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq request{};
    std::string{"vm0"}.copy(request.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) return fail("read flags");
    return request.ifr_flags;
  }));
  EXPECT_TRUE(flags & IFF_MULTICAST);
  EXPECT_TRUE(flags & IFF_BROADCAST);
}

TEST_F(LinksTest, AssignsIpv4AndIpv6AddressesUsableAtOnce) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true}));
  const config::Address v4 = address("192.168.1.1", 24);
  const config::Address v6 = address("fd00::1", 64);
  must(links.add_address(tap.ifindex, v4));
  must(links.add_address(tap.ifindex, v6));

  EXPECT_EQ(assigned(ns, tap.ifindex, v4).value().prefix, 24);
  const Assigned ours = assigned(ns, tap.ifindex, v6).value();
  EXPECT_EQ(ours.prefix, 64);
  EXPECT_TRUE(ours.flags & IFA_F_NODAD);
  EXPECT_FALSE(ours.flags & IFA_F_TENTATIVE);
  // A socket is the proof: bind() refuses a tentative address.
  must(in_netns(ns, [&]() -> Result<void> {
    const Fd socket{::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in6 local{};
    local.sin6_family = AF_INET6;
    std::copy(v6.bytes.begin(), v6.bytes.end(), local.sin6_addr.s6_addr);
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) < 0) {
      return fail("bind to fd00::1");
    }
    return {};
  }));
}

TEST_F(LinksTest, NamesTheLinkAndTheCauseWhenAnAddressIsThereAlready) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.add_address(tap.ifindex, address("192.168.1.1", 24)));
  const Result<void> again = links.add_address(tap.ifindex, address("192.168.1.1", 24));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_NE(again.error().text().find("192.168.1.1/24 to red/vm0"), std::string::npos)
      << again.error().text();
}

TEST_F(LinksTest, GivesTheKernelsOwnWords) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  const Result<void> refused = links.configure(tap.ifindex, {.mtu = 70000});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_EQ(refused.error().doing, "configure red/vm0");
  EXPECT_NE(refused.error().hint.find("mtu"), std::string::npos) << refused.error().text();
}

TEST_F(LinksTest, WorksOnAfterAnError) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  EXPECT_FALSE(links.configure(tap.ifindex, {.mtu = 70000}));
  EXPECT_EQ(links.find("no-such-link").error().code, ENODEV);
  EXPECT_EQ(links.get(4711).error().code, ENODEV);
  EXPECT_EQ(must(links.get(tap.ifindex)).name, "vm0");
  const Result<void> gone = links.configure(4711, {.up = true});
  EXPECT_EQ(gone.error().code, ENODEV);
  EXPECT_EQ(gone.error().doing, "configure red/#4711");
}

TEST_F(LinksTest, InstallsNoqueueThatSurvivesUpAndDown) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true}));
  ASSERT_NE(must(links.get(tap.ifindex)).qdisc, "noqueue") << "a TAP should not have it by default";
  must(links.configure(tap.ifindex, {.up = false}));
  must(links.set_noqueue(tap.ifindex));
  EXPECT_EQ(must(links.get(tap.ifindex)).qdisc, "noqueue");
  must(links.configure(tap.ifindex, {.up = true}));
  EXPECT_EQ(must(links.get(tap.ifindex)).qdisc, "noqueue");
}

TEST_F(LinksTest, InstallsNoqueueOnALinkThatWasNeverUp) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.set_noqueue(tap.ifindex));
  must(links.configure(tap.ifindex, {.up = true}));
  EXPECT_EQ(must(links.get(tap.ifindex)).qdisc, "noqueue");
}

TEST_F(LinksTest, TurnsGroOffAndOn) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  make_veth(ns, "veth0", "veth1");
  EXPECT_TRUE(gro(ns, "vm0"));
  EXPECT_FALSE(gro(ns, "veth0")) << "what a TAP is to be like";
  Links links = must(Links::open(ns));
  must(links.set_features("vm0", {.gro = false}));
  EXPECT_FALSE(gro(ns, "vm0"));
  must(links.set_features("vm0", {.gro = true}));
  EXPECT_TRUE(gro(ns, "vm0"));
  EXPECT_EQ(links.set_features("no-such-link", {.gro = true}).error().code, ENODEV);
  EXPECT_EQ(links.features("no-such-link").error().code, ENODEV);
}

TEST_F(LinksTest, SetsEachFeatureOfAVethAndReadsItBack) {
  const Netns ns = make_netns("red");
  make_veth(ns, "veth0", "veth1");
  Links links = must(Links::open(ns));
  EXPECT_EQ(must(links.features("veth0")), (Features{.tso = true})) << "a fresh veth";
  for (const Features& wanted :
       {Features{}, Features{.gro = true}, Features{.tso = true},
        Features{.rx_udp_gro_forwarding = true}, Features{.rx_gro_list = true},
        Features{.gro = true, .tso = true, .rx_udp_gro_forwarding = true, .rx_gro_list = true}}) {
    must(links.set_features("veth0", wanted));
    EXPECT_EQ(must(links.features("veth0")), wanted);
  }
}

TEST_F(LinksTest, SegmentationOfATapWaitsForItsReaderToAcceptIt) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.set_features("vm0", {.tso = true}));
  EXPECT_FALSE(must(links.features("vm0")).tso);
  ASSERT_EQ(::ioctl(tap.fd.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4), 0);
  EXPECT_TRUE(must(links.features("vm0")).tso);
  must(links.set_features("vm0", {.tso = false}));
  EXPECT_FALSE(must(links.features("vm0")).tso);
}

TEST_F(LinksTest, GivesATapTheSpeedOfAVeth) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  make_veth(ns, "veth0", "veth1");
  must(in_netns(ns, []() -> Result<void> {  // as before Linux 6.2
    const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    return ethtool::set_link_mode(socket.get(), "vm0", SPEED_10, DUPLEX_HALF);
  }));
  ASSERT_EQ(link_mode(ns, "vm0"), std::pair(std::uint32_t{SPEED_10}, DUPLEX_HALF));
  Links links = must(Links::open(ns));
  must(links.set_speed("vm0"));
  EXPECT_EQ(link_mode(ns, "vm0"), link_mode(ns, "veth0"));
  EXPECT_EQ(links.set_speed("no-such-link").error().code, ENODEV);
}

TEST_F(LinksTest, CountsWhatTheLinkCounts) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true}));
  const LinkStats before = must(links.get(tap.ifindex)).stats;
  const std::vector<char> frame(60, 0);
  ASSERT_EQ(::write(tap.fd.get(), frame.data(), frame.size()), 60);
  const LinkStats after = must(links.get(tap.ifindex)).stats;
  EXPECT_EQ(after.rx_packets, before.rx_packets + 1);
  EXPECT_GE(after.rx_bytes, before.rx_bytes + 46);
}

TEST_F(LinksTest, RemovesALink) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  must(links.remove(tap.ifindex));
  EXPECT_EQ(links.get(tap.ifindex).error().code, ENODEV);
  EXPECT_EQ(links.remove(tap.ifindex).error().code, ENODEV);
}

TEST_F(LinksTest, ConfiguresAndRemovesAGroupOfHundredsQuickly) {
  constexpr std::uint32_t kGroup = 4242;
  constexpr int kTaps = 500;
  const Netns ns = make_netns("red");
  const Tap bystander = make_tap(ns, "bystander");
  std::vector<Tap> taps;
  taps.reserve(kTaps);
  for (int i = 0; i < kTaps; ++i) taps.push_back(make_tap(ns, "vm" + std::to_string(i)));
  Links links = must(Links::open(ns));

  const double configured = milliseconds_of([&] {
    for (const Tap& tap : taps) {
      must(links.set_noqueue(tap.ifindex));
      must(links.configure(tap.ifindex, {.up = true, .mtu = 9000, .group = kGroup}));
      must(links.add_address(tap.ifindex, address("fd00::1", 64)));
    }
  });
  const double removed = milliseconds_of([&] { must(links.remove_group(kGroup)); });
  std::printf("%d TAPs: configured in %.0f ms, removed as a group in %.0f ms\n", kTaps, configured,
              removed);
  for (const Tap& tap : taps) EXPECT_EQ(links.get(tap.ifindex).error().code, ENODEV);
  EXPECT_TRUE(links.get(bystander.ifindex));
  EXPECT_TRUE(links.remove_group(kGroup)) << "an empty group is removed already";
}

TEST_F(LinksTest, RefusesToRemoveTheGroupOfEverybody) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  EXPECT_EQ(links.remove_group(0).error().code, EINVAL);
  EXPECT_TRUE(links.get(tap.ifindex));
}

TEST_F(LinksTest, OpensMoreSocketsThanLibnlHasPorts) {
  constexpr int kSockets = 1100;  // libnl numbers 1024
  const Netns ns = make_netns("red");
  std::vector<Links> many;
  many.reserve(kSockets);
  for (int i = 0; i < kSockets; ++i) many.push_back(must(Links::open(ns)));
  EXPECT_EQ(must(many.front().get(1)).name, "lo");
  EXPECT_EQ(must(many.back().get(1)).name, "lo");
}

}  // namespace
}  // namespace vethd::test

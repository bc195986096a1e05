// What control asks about a device that it did not make.
#include "daemon/netns/nic.hpp"

#include <netlink/errno.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <arpa/inet.h>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "daemon/netns/links.hpp"
#include "daemon/netns/route_socket.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

class NicTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    ns_.emplace(make_netns("red"));
    make_veth(*ns_, "v0", "v1");
    Links links = must(Links::open(*ns_));
    for (const char* name : {"v0", "v1"}) {
      const int ifindex = must(links.find(name)).ifindex;
      must(links.configure(ifindex, {.up = true}));
      (std::string{"v0"} == name ? v0_ : v1_) = ifindex;
    }
  }

  std::optional<Netns> ns_;
  int v0_ = 0;
  int v1_ = 0;
};

config::Address address(int family, const std::string& text) {
  config::Address made;
  made.family = family;
  if (::inet_pton(family, text.c_str(), made.bytes.data()) != 1) throw std::runtime_error(text);
  made.prefix = family == AF_INET ? 24 : 64;
  made.text = text;
  return made;
}

/// destination: "default" or a prefix; via: one next hop for each gateway.
void add_route(const Netns& ns, int family, const std::string& destination,
               std::initializer_list<std::pair<const char*, int>> via, std::uint32_t table) {
  const auto parsed = [&](const std::string& text) {
    nl_addr* made = nullptr;
    if (::nl_addr_parse(text.c_str(), family, &made) < 0) throw std::runtime_error(text);
    return std::unique_ptr<nl_addr, decltype(&::nl_addr_put)>{made, &::nl_addr_put};
  };
  const RouteSocket socket = must(open_route_socket(ns, 0));
  const std::unique_ptr<rtnl_route, decltype(&::rtnl_route_put)> route{::rtnl_route_alloc(),
                                                                       &::rtnl_route_put};
  ::rtnl_route_set_family(route.get(), static_cast<std::uint8_t>(family));
  ::rtnl_route_set_table(route.get(), table);
  ::rtnl_route_set_scope(route.get(), RT_SCOPE_UNIVERSE);
  ::rtnl_route_set_dst(route.get(), parsed(destination).get());
  for (const auto& [gateway, ifindex] : via) {
    rtnl_nexthop* hop = ::rtnl_route_nh_alloc();
    ::rtnl_route_nh_set_ifindex(hop, ifindex);
    ::rtnl_route_nh_set_gateway(hop, parsed(gateway).get());
    ::rtnl_route_add_nexthop(route.get(), hop);
  }
  if (const int error = ::rtnl_route_add(socket.get(), route.get(), NLM_F_CREATE); error < 0)
    throw std::runtime_error("add a route: " + std::string{::nl_geterror(error)});
}

TEST_F(NicTest, TellsDriverQueuesAndVlanStripping) {
  const NicInfo veth = must(nic_info(*ns_, "v0"));
  EXPECT_EQ(veth.driver, "veth");
  EXPECT_EQ(veth.bus, "");
  EXPECT_EQ(veth.rx_queues, 1U);
  EXPECT_EQ(veth.tx_queues, 1U);
  EXPECT_EQ(veth.max_combined, 0U) << "its channels are of one direction each";
  EXPECT_TRUE(veth.vlan_stripping);
}

TEST_F(NicTest, TellsTheQueuesOfADeviceWithoutChannels) {
  make_bridge(*ns_, "br0");
  const NicInfo bridge = must(nic_info(*ns_, "br0"));
  EXPECT_EQ(bridge.driver, "bridge");
  EXPECT_EQ(bridge.rx_queues, 1U);
  EXPECT_EQ(bridge.tx_queues, 1U);
  EXPECT_EQ(bridge.max_combined, 0U);
  EXPECT_FALSE(bridge.vlan_stripping);
}

TEST_F(NicTest, NamesADeviceThatIsNotThere) {
  const auto missing = nic_info(*ns_, "eth9");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENODEV);
  EXPECT_NE(missing.error().text().find("red/eth9"), std::string::npos);
  EXPECT_EQ(set_vlan_stripping(*ns_, "eth9", false).error().code, ENODEV);
}

TEST_F(NicTest, SwitchesVlanStripping) {
  must(set_vlan_stripping(*ns_, "v0", false));
  EXPECT_FALSE(must(nic_info(*ns_, "v0")).vlan_stripping);
  EXPECT_TRUE(must(nic_info(*ns_, "v1")).vlan_stripping);
  must(set_vlan_stripping(*ns_, "v0", false));  // is so already
  must(set_vlan_stripping(*ns_, "v0", true));
  EXPECT_TRUE(must(nic_info(*ns_, "v0")).vlan_stripping);
}

TEST_F(NicTest, SaysThatADriverHasNoSwitchForVlanStripping) {
  make_bridge(*ns_, "br0");
  must(set_vlan_stripping(*ns_, "br0", false));
  const auto refused = set_vlan_stripping(*ns_, "br0", true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EOPNOTSUPP);
  EXPECT_NE(refused.error().text().find("red/br0"), std::string::npos);
}

TEST_F(NicTest, FindsNoDefaultRouteInANewNamespace) {
  EXPECT_FALSE(must(holds_default_route(*ns_, v0_)));
  const auto missing = holds_default_route(*ns_, 4711);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENODEV);
}

TEST_F(NicTest, FindsTheDefaultRouteOfEitherProtocol) {
  Links links = must(Links::open(*ns_));
  must(links.add_address(v0_, address(AF_INET, "192.168.1.1")));
  must(links.add_address(v1_, address(AF_INET6, "fd00::1")));
  add_route(*ns_, AF_INET, "10.0.0.0/8", {{"192.168.1.9", v0_}}, RT_TABLE_MAIN);
  EXPECT_FALSE(must(holds_default_route(*ns_, v0_))) << "other routes do not count";
  add_route(*ns_, AF_INET, "0.0.0.0/0", {{"192.168.1.9", v0_}}, 100);
  EXPECT_FALSE(must(holds_default_route(*ns_, v0_))) << "nor other tables";
  add_route(*ns_, AF_INET, "0.0.0.0/0", {{"192.168.1.9", v0_}}, RT_TABLE_MAIN);
  EXPECT_TRUE(must(holds_default_route(*ns_, v0_)));
  EXPECT_FALSE(must(holds_default_route(*ns_, v1_)));
  add_route(*ns_, AF_INET6, "::/0", {{"fd00::9", v1_}}, RT_TABLE_MAIN);
  EXPECT_TRUE(must(holds_default_route(*ns_, v1_)));
}

TEST_F(NicTest, FindsADefaultRouteWithManyNextHopsAtEachOfThem) {
  Links links = must(Links::open(*ns_));
  must(links.add_address(v0_, address(AF_INET, "192.168.1.1")));
  must(links.add_address(v1_, address(AF_INET, "192.168.2.1")));
  add_route(*ns_, AF_INET, "0.0.0.0/0", {{"192.168.1.9", v0_}, {"192.168.2.9", v1_}},
            RT_TABLE_MAIN);
  EXPECT_TRUE(must(holds_default_route(*ns_, v0_)));
  EXPECT_TRUE(must(holds_default_route(*ns_, v1_)));
}

}  // namespace
}  // namespace vethd::test

// Where the ends may be: several pairs, one namespace, a bridge, and every way to name a namespace.
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

class Topologies : public OnWires {};
VETHD_ON_WIRES(kEveryWire, Topologies);

TEST_P(Topologies, PairsAndMachinesCarryTheirOwnTraffic) {
  Topology topology{.pairs = {},
                    .softnet =
                        "[softnet.small]\nnetdev_max_backlog = 10\ndev_weight = 8\n"
                        "[softnet.eager]\narrival = \"inline\"\n"};
  const std::vector<std::string> machines = {"", "small", "eager", "eager"};
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const std::string n = std::to_string(i);
    topology.pairs.push_back(
        {.name = "pair" + n,
         .a = {.netns = "red", .ifname = "a" + n, .addresses = {"10.0." + n + ".1/24"}},
         .b = {.netns = "blue" + n, .ifname = "b" + n, .addresses = {"10.0." + n + ".2/24"}},
         .softnet = machines[i]});
  }
  connect(topology);
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const std::string n = std::to_string(i);
    const auto sent = tcp_both_ways({"red", "blue" + n, "10.0." + n + ".2"}, volume(32ULL << 20));
    EXPECT_TRUE(sent) << n << ": " << sent.error().text();
    if (on_vethd()) {
      EXPECT_GT(number(ledger("pair" + n, "a_to_b"), "tx_frames"), 0U);
    }
  }
  // A neighbour's addresses are not reachable through the wrong pair.
  EXPECT_FALSE(pings("blue0", "10.0.1.2"));
}

TEST_P(Topologies, BothEndsInOneNamespaceTalkWhenItAcceptsItsOwnAddresses) {
  Pair pair = red_to_blue();
  pair.a.netns = pair.b.netns = "red";
  connect({.pairs = {pair}});
  for (const char* device : {"all", "default", "veth0", "veth1"}) {
    const std::string conf = std::string("net.ipv4.conf.") + device;
    set_sysctl("red", conf + ".rp_filter", "0");
    set_sysctl("red", conf + ".accept_local", "1");
  }
  EXPECT_TRUE(pings("red", "-I veth0 192.168.1.2"));
  EXPECT_TRUE(pings("red", "-I veth1 192.168.1.1"));
  if (on_vethd()) {
    EXPECT_GT(number(ledger("web", "a_to_b"), "tx_frames"), 0U);
  }
}

TEST_P(Topologies, AnEndInABridgeReachesBeyondItsDefaultRoute) {
  // t1: veth1 --- veth2 in br0 :host: up0 --- up1 :world
  const Pair pair = {.name = "bridged",
                     .a = {.netns = "t1", .ifname = "veth1", .addresses = {"192.168.1.200/24"}},
                     .b = {.netns = "host", .ifname = "veth2"}};
  const Pair uplink = {.name = "uplink",
                       .a = {.netns = "host", .ifname = "up0", .addresses = {"10.9.0.1/24"}},
                       .b = {.netns = "world", .ifname = "up1", .addresses = {"10.9.0.2/24"}}};
  make_netns_for({.pairs = {uplink}});
  make_kernel_veth({.pairs = {uplink}});
  connect({.pairs = {pair}});
  ip("-n host link add br0 type bridge");
  ip("-n host address add 192.168.1.1/24 dev br0");
  ip("-n host link set br0 up");
  ip("-n host link set veth2 master br0");
  ip("-n t1 route add default via 192.168.1.1");
  ip("-n world route add 192.168.1.0/24 via 10.9.0.1");
  set_sysctl("host", "net.ipv4.ip_forward", "1");
  const auto forwards = [] {
    return ip("-n host -d link show dev veth2").find("state forwarding") != std::string::npos;
  };
  ASSERT_TRUE(wait_until(forwards, 5s, "the bridge port to forward"));

  EXPECT_TRUE(pings("t1", "192.168.1.1"));
  EXPECT_TRUE(pings("t1", "10.9.0.2"));
  EXPECT_TRUE(pings("world", "192.168.1.200"));
  const auto sent = tcp_both_ways({"t1", "world", "10.9.0.2"}, volume(128ULL << 20));
  EXPECT_TRUE(sent) << sent.error().text();
}

class NamespaceNames : public System {};

TEST_F(NamespaceNames, MayBeAPathOrAProcess) {
  make_netns("red");
  make_netns("blue");
  const Process holder({"sleep", "infinity"}, {.netns = "blue"});
  std::string toml = to_toml({.pairs = {red_to_blue()}});
  const auto replace = [&](const std::string& from, const std::string& to) {
    toml.replace(toml.find(from), from.size(), to);
  };
  replace("netns = \"red\"", "netns = \"/run/netns/red\"");
  replace("netns = \"blue\"", "netns = { pid = " + std::to_string(holder.pid()) + " }");
  start_with(toml);
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

TEST_F(NamespaceNames, MayBeLeftOutForTheDaemonsOwn) {
  Pair pair = red_to_blue();
  pair.a.netns.clear();
  start({.pairs = {pair}});
  EXPECT_TRUE(link_of("", "veth0").carrier);
  EXPECT_TRUE(pings("blue", "192.168.1.1"));
}

}  // namespace
}  // namespace vethd::system_test

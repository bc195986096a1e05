// Ends that are AF_XDP sockets: what is refused, what is shown, what reaches them and what does
// not, and how they leave the device that they took.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "tests/system/lib/crafted.hpp"
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sniffer.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

constexpr milliseconds kSoon = 5s;
constexpr int kCannotRun = 1;

const Route kRedToBlue = {"red", "blue", "192.168.1.2"};
const Route kBlueToRed = {"blue", "red", "192.168.1.1"};

/// red/veth0 (kernel) == nic-veth0/veth0 = AF_XDP, vethd, TAP = blue/veth1
Pair nic_to_tap(const std::string& mode = "copy") {
  Pair pair = red_to_blue();
  pair.a.xdp_mode = mode;
  return pair;
}

/// The same with AF_XDP at both ends.
Pair nic_to_nic(const std::string& mode = "copy") {
  Pair pair = nic_to_tap(mode);
  pair.b.xdp_mode = mode;
  return pair;
}

class NicRefusal : public System {
 protected:
  void make(const Pair& pair) {
    make_netns_for({.pairs = {pair}});
    make_nics_for({.pairs = {pair}});
  }

  /// One line on stderr that names the cause, and nothing left behind.
  static void expect(const Pair& pair, const std::vector<std::string>& says) {
    const Finished done = run_vethd({"--config", write_config(to_toml({.pairs = {pair}}))});
    EXPECT_EQ(done.exit_code, kCannotRun) << done.err;
    EXPECT_EQ(done.out.find("ready"), std::string::npos) << done.out;
    for (const std::string& text : says)
      EXPECT_NE(done.err.find(text), std::string::npos) << text << " in:\n" << done.err;
    EXPECT_EQ(done.err.find("libbpf"), std::string::npos) << done.err;
    EXPECT_FALSE(link_of("blue", "veth1").exists);
  }
};

TEST_F(NicRefusal, OfADeviceThatIsNotThere) {
  const Pair pair = nic_to_tap();
  make_netns_for({.pairs = {pair}});
  expect(pair, {"nic-veth0", "veth0", "no such device"});
}

TEST_F(NicRefusal, OfADeviceThatIsDown) {
  const Pair pair = nic_to_tap();
  make(pair);
  ip("-n nic-veth0 link set veth0 down");
  expect(pair, {"nic-veth0/veth0", "it is down", "ip link set veth0 up"});
  EXPECT_TRUE(is_untouched(pair.a));
}

TEST_F(NicRefusal, OfADeviceWithoutEthernet) {
  const Pair pair = nic_to_tap("auto");
  make(pair);
  ip("-n nic-veth0 link del veth0");
  ip("-n nic-veth0 tuntap add mode tun name veth0");
  ip("-n nic-veth0 link set veth0 up");
  expect(pair, {"nic-veth0/veth0", "no Ethernet header", "not a TUN"});
}

TEST_F(NicRefusal, OfFewerOrMoreQueuesThanItHas) {
  Pair pair = nic_to_tap();
  pair.a.queues = 2;
  make(pair);
  for (const unsigned queues : {1U, 3U}) {
    pair.a.queues = queues;
    expect(pair, {"nic-veth0/veth0", "it receives on 2", "queues = 2"});
  }
  EXPECT_TRUE(is_untouched(pair.a));
}

TEST_F(NicRefusal, OfADeviceWithAProgramOfSomebodyElse) {
  for (const auto& [mode, option] : {std::pair("copy", "xdpdrv"), std::pair("auto", "xdpdrv"),
                                     std::pair("generic", "xdpgeneric")}) {
    const Pair pair = nic_to_tap(mode);
    make(pair);
    ip(std::string("-n nic-veth0 link set dev veth0 ") + option + " object " + XDP_TEST_OBJECT +
       " program pass_all");
    expect(pair, {"nic-veth0/veth0", "has a program already: pass_all"});
    EXPECT_NE(nic_details(pair.a).find("name pass_all"), std::string::npos) << "it was not ours";
    EXPECT_EQ(vlan_stripping(pair.a), "on");
    forget_netns();
  }
}

TEST_F(NicRefusal, OfTheDeviceOfTheDefaultRouteUnlessForced) {
  Pair pair = nic_to_tap();
  make(pair);
  ip("-n nic-veth0 address add 10.9.0.1/24 dev veth0");
  ip("-n nic-veth0 route add default via 10.9.0.2");
  expect(pair, {"nic-veth0/veth0", "it holds the default route", "force = true"});
  EXPECT_TRUE(is_untouched(pair.a));
  pair.a.xdp_keys = "force = true";
  start_with(to_toml({.pairs = {pair}}));
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

TEST_F(NicRefusal, OfZeroCopyOnADriverWithoutIt) {
  const Pair pair = nic_to_tap("zerocopy");
  make(pair);
  expect(pair, {"veth0", "veth has no zero-copy", "mode = \"copy\""});
  EXPECT_TRUE(is_untouched(pair.a));
}

class Nic : public System {
 protected:
  static json::object end(const char* side) { return pair_in(show(), "web").at(side).as_object(); }
  static json::object af_xdp() { return end("a").at("af_xdp").as_object(); }
};

TEST_F(Nic, ShowsTheModeThatItGotAndWhyNoBetterOne) {
  start({.pairs = {nic_to_tap("auto")}});
  EXPECT_EQ(end("a").at("driver"), "af_xdp");
  EXPECT_EQ(end("b").at("driver"), "tap");
  EXPECT_TRUE(end("b").at("af_xdp").is_null());
  const json::object shown = af_xdp();
  EXPECT_EQ(shown.at("device_driver"), "veth");
  EXPECT_EQ(shown.at("mode_asked"), "auto");
  EXPECT_EQ(shown.at("mode"), "copy");
  ASSERT_EQ(shown.at("refused").as_array().size(), 1U) << shown;
  EXPECT_NE(shown.at("refused").at(0).as_string().find("zero-copy"), json::string::npos) << shown;
  EXPECT_FALSE(shown.at("multi_buffer").as_bool());
  EXPECT_NE(nic_details(nic_to_tap().a).find(" promiscuity 1 "), std::string::npos);
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

TEST_F(Nic, InAskedModeRefusesNothing) {
  start({.pairs = {nic_to_tap("generic")}});
  EXPECT_EQ(af_xdp().at("mode_asked"), "generic");
  EXPECT_EQ(af_xdp().at("mode"), "generic");
  EXPECT_TRUE(af_xdp().at("refused").as_array().empty());
  EXPECT_NE(nic_details(nic_to_tap().a).find("xdpgeneric"), std::string::npos);
}

TEST_F(Nic, IsLeftAsItWasByStop) {
  const Pair pair = nic_to_nic();
  start({.pairs = {pair}});
  for (const End* end : {&pair.a, &pair.b}) EXPECT_EQ(vlan_stripping(*end), "off");
  EXPECT_TRUE(daemon().stop());
  EXPECT_EQ(daemon().unexpected_log(), "");
  for (const End* end : {&pair.a, &pair.b}) EXPECT_TRUE(is_untouched(*end));
  daemon_is_gone();
}

TEST_F(Nic, IsLeftAsItWasByAKillUnderLoadAndCanBeTakenAgain) {
  const Pair pair = nic_to_nic();
  start({.pairs = {pair}});
  {
    const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
    const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
    ASSERT_TRUE(PacketSocket("blue", "veth1").receive(kSoon)) << "no load";
    daemon().process().signal(SIGKILL);
    ASSERT_EQ(daemon().process().wait_exit(kSoon), 128 + SIGKILL);
  }
  daemon_is_gone();
  for (const End* end : {&pair.a, &pair.b}) EXPECT_TRUE(is_untouched(*end));
  start_with(to_toml({.pairs = {pair}}));
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

// A host behind the card remembers who had the address before.
TEST_F(Nic, HearsWhoHasTheAddressesNow) {
  const Topology topology = {.pairs = {nic_to_tap()}};
  make_netns_for(topology);
  make_nics_for(topology);
  for (const char* address : {"192.168.1.2", "fd00::2"})
    ip("-n red neigh replace " + std::string(address) +
       " lladdr 02:00:00:00:00:99 dev veth0 nud stale");
  start_with(to_toml(topology));
  const std::string mac = link_of("blue", "veth1").mac;
  for (const char* address : {"192.168.1.2", "fd00::2"}) {
    const auto known = [&] {
      return ip("-n red neigh show " + std::string(address)).find(mac) != std::string::npos;
    };
    EXPECT_TRUE(wait_until(known, kSoon, std::string("red to know the new one of ") + address));
  }
}

TEST_F(Nic, KeepsVlanTagsBothWays) {
  Pair pair = nic_to_nic();
  start({.pairs = {pair}});
  EXPECT_EQ(vlan_stripping(pair.a), "off") << "it was on";
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  for (const auto& [from, to] : {std::pair(&red, &blue), std::pair(&blue, &red)}) {
    const Frame frame = test_frame(200, 7, 0x6123);  // priority 3, VLAN 0x123
    ASSERT_TRUE(from->send(frame));
    EXPECT_EQ(to->receive(kSoon), frame);
  }
}

/// red/u1 == red/u0, with red/veth0 a port of red/br0: a bridge takes the outer tag out of what it
/// receives and sends it on beside the frame.
void bridge_red() {
  ip("-n red link add br0 type bridge forward_delay 0");
  ip("-n red link add u0 type veth peer name u1");
  for (const char* port : {"u0", "veth0"})
    ip(std::string("-n red link set master br0 dev ") + port);
  for (const char* device : {"u0", "u1", "br0"})
    ip(std::string("-n red link set up dev ") + device);
}

TEST_F(Nic, KeepsTagsThatASenderHasBesideTheFrame) {
  start({.pairs = {nic_to_tap()}});
  bridge_red();
  const PacketSocket red("red", "u1");
  const PacketSocket blue("blue", "veth1");
  std::uint32_t seed = 0;
  for (const std::optional<std::uint16_t> outer : {std::optional<std::uint16_t>{}, {0x6009}})
    for (const std::optional<std::uint16_t> inner : {std::optional<std::uint16_t>{}, {0x2123}})
      for (const std::size_t bytes : {60, 200, 1514}) {
        const Frame frame = test_frame(bytes, ++seed, inner, outer);
        for (const auto& [from, to] : {std::pair(&red, &blue), std::pair(&blue, &red)}) {
          ASSERT_TRUE(from->send(frame));
          EXPECT_EQ(to->receive(kSoon), frame) << seed;
        }
      }
}

using Mac = std::array<std::uint8_t, 6>;

Frame to_mac(const Mac& mac, std::uint32_t seed, std::optional<std::uint16_t> vlan = {}) {
  Frame frame = test_frame(100, seed, vlan);
  std::ranges::copy(mac, frame.begin());
  return frame;
}

constexpr Mac kOurs = {0x02, 0, 0, 0, 0, 0x42};
constexpr Mac kTheirs = {0x02, 0, 0, 0, 0, 0x43};
constexpr Mac kGroup = {0x01, 0x00, 0x5e, 0, 0, 1};
constexpr std::uint16_t kVlan = 7;

/// red sends one of each kind. Arrivals keep their order at either place, so a frame that is known
/// to go there comes last.
class Steering : public Nic {
 protected:
  void steer(const std::string& how) {
    Pair pair = nic_to_tap();
    pair.a.xdp_keys = "steer = " + how;
    start({.pairs = {pair}});
  }

  static std::vector<std::uint32_t> seeds_at(const PacketSocket& socket, std::uint32_t last) {
    std::vector<std::uint32_t> seeds;
    while (const auto frame = socket.receive(2s)) {  // ends: nobody else sends
      seeds.push_back(seed_of(*frame).value_or(0));
      if (seeds.back() == last) break;
    }
    return seeds;
  }

  /// Frames 1, 2, 3 ... in turn: where did each go?
  static void expect_frames(const std::vector<Frame>& frames,
                            const std::vector<std::uint32_t>& to_vethd,
                            const std::vector<std::uint32_t>& to_stack,
                            const char* from = "veth0") {
    const PacketSocket red("red", from);
    const PacketSocket blue("blue", "veth1");
    const PacketSocket host("nic-veth0", "veth0");
    for (const Frame& frame : frames) ASSERT_TRUE(red.send(frame));
    EXPECT_EQ(seeds_at(blue, to_vethd.back()), to_vethd);
    EXPECT_EQ(seeds_at(host, to_stack.back()), to_stack);
    ASSERT_TRUE(wait_until(ledgers_at_rest, kSoon, "frames in flight to arrive"));
    EXPECT_FALSE(blue.receive(0ms));
    EXPECT_FALSE(host.receive(0ms));
  }
};

TEST_F(Steering, ByAddressLeavesOtherFramesToTheStack) {
  steer("{ mac = \"02:00:00:00:00:42\" }");
  expect_frames({to_mac(kTheirs, 1), to_mac(kOurs, 2), to_mac(kGroup, 3), to_mac(kOurs, 4, kVlan),
                 test_frame(100, 5)},
                {2, 4}, {1, 3, 5});
}

TEST_F(Steering, ByAddressAndMulticastTakesGroupsToo) {
  steer("{ mac = \"02:00:00:00:00:42\", multicast = true }");
  expect_frames({to_mac(kOurs, 1), to_mac(kGroup, 2), test_frame(100, 3), to_mac(kTheirs, 4)},
                {1, 2, 3}, {4});
}

TEST_F(Steering, ByVlanTakesItsFramesWithTheirTag) {
  steer("{ vlan = 7 }");
  expect_frames({test_frame(100, 1), test_frame(100, 2, kVlan), test_frame(100, 3, kVlan + 1),
                 test_frame(100, 4, 0x6000 | kVlan)},
                {2, 4}, {1, 3});
}

TEST_F(Steering, ByVlanSeesTagsBesideTheFrame) {
  steer("{ vlan = 7 }");
  bridge_red();
  expect_frames({test_frame(100, 1), test_frame(100, 2, kVlan), test_frame(100, 3, kVlan + 1),
                 test_frame(100, 4, kVlan, kVlan + 1), test_frame(100, 5, kVlan + 1, kVlan)},
                {2, 5}, {1, 3, 4}, "u1");
}

TEST_F(Steering, ByAddressAndVlanNeedsBoth) {
  steer("{ mac = \"02:00:00:00:00:42\", vlan = 7 }");
  expect_frames({to_mac(kOurs, 1), to_mac(kTheirs, 2, kVlan), to_mac(kOurs, 3, kVlan),
                 to_mac(kOurs, 4, kVlan + 1)},
                {3}, {1, 2, 4});
}

class Jumbo : public Nic, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Mode, Jumbo, testing::Values("copy", "generic"),
                         [](const auto& drawn) { return std::string(drawn.param); });

TEST_P(Jumbo, FramesOf9000BytesCrossInSeveralDescriptors) {
  for (Pair pair : {nic_to_tap(GetParam()), nic_to_nic(GetParam())}) {
    pair.a.mtu = pair.b.mtu = 9000;
    start({.pairs = {pair}});
    EXPECT_TRUE(af_xdp().at("multi_buffer").as_bool());
    EXPECT_TRUE(pings("red", "-M do -s 8972 192.168.1.2"));
    EXPECT_TRUE(pings("blue", "-M do -s 8972 192.168.1.1"));
    const auto sent = tcp_both_ways(kRedToBlue, 8ULL << 20);
    EXPECT_TRUE(sent) << sent.error().text();
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "frames in flight to arrive"));
    EXPECT_TRUE(daemon().stop());
    EXPECT_EQ(daemon().unexpected_log(), "");
    daemon_is_gone();
    forget_netns();
  }
}

testing::AssertionResult tap_has_carrier(bool wanted) {
  return wait_until([&] { return link_of("blue", "veth1").carrier == wanted; }, kSoon,
                    wanted ? "carrier at the TAP" : "no carrier at the TAP");
}

TEST_F(Nic, GivesItsCarrierToTheTap) {
  start({.pairs = {nic_to_tap()}});
  for (const char* device : {"-n red link set veth0 ", "-n nic-veth0 link set veth0 "}) {
    ip(device + std::string("down"));
    EXPECT_TRUE(tap_has_carrier(false)) << device;
    ip(device + std::string("up"));
    EXPECT_TRUE(tap_has_carrier(true)) << device;
    EXPECT_TRUE(pings("red", "-4 192.168.1.2")) << device;
  }
}

// Its frames go to its own stack then: a pair without carrier says so.
TEST_F(Nic, WhoseProgramIsDetachedByForceHasNoCarrier) {
  start({.pairs = {nic_to_tap()}});
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  daemon().allow_log("was detached by force");
  detach_xdp_by_force("nic-veth0", "veth0");
  EXPECT_TRUE(tap_has_carrier(false));
  EXPECT_FALSE(pair_in(show(), "web").at("carrier").as_bool());
  EXPECT_FALSE(af_xdp().at("attached").as_bool());
  EXPECT_NE(daemon().process().err().find("start vethd again"), std::string::npos);
}

TEST_F(Nic, ThatIsRemovedUnderLoadTakesItsPairWithItAndNoOther) {
  const Pair other = {
      .name = "other",
      .a = {.netns = "green", .ifname = "o0", .addresses = {"10.0.0.1/24"}, .xdp_mode = "copy"},
      .b = {.netns = "brown", .ifname = "o1", .addresses = {"10.0.0.2/24"}}};
  start({.pairs = {nic_to_tap(), other}});
  const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
  ASSERT_TRUE(PacketSocket("blue", "veth1").receive(kSoon)) << "no load";
  daemon().allow_log("web");
  ip("-n nic-veth0 link del veth0");
  const auto gone = [] { return !link_of("blue", "veth1").exists; };
  EXPECT_TRUE(wait_until(gone, kSoon, "the TAP to go too"));
  const auto forgotten = [] { return pair_in(show(), "web").empty(); };
  EXPECT_TRUE(wait_until(forgotten, kSoon, "vethctl to show the pair no more"));
  EXPECT_NE(daemon().process().err().find("nic-veth0/veth0 is gone"), std::string::npos)
      << daemon().process().err();
  const auto sent =
      udp_in_order({"green", "brown", "10.0.0.2"}, {.rounds = 50, .sizes = {100, 1400}});
  EXPECT_TRUE(sent) << sent.error().text();
}

/// What its tx ring holds stays there until it is up again: one worker, and it reads on.
TEST_F(Nic, ThatGoesDownUnderLoadLeavesItsNeighbourBuffers) {
  const Pair other = {.name = "other",
                      .a = {.netns = "green", .ifname = "o0", .addresses = {"10.0.0.1/24"}},
                      .b = {.netns = "brown", .ifname = "o1", .addresses = {"10.0.0.2/24"}}};
  start({.pairs = {nic_to_tap(), other}, .workers = 1});
  const FrameSource there("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
  ASSERT_TRUE(PacketSocket("red", "veth0").receive(kSoon)) << "no load";
  ip("-n nic-veth0 link set veth0 down");
  const auto sent =
      udp_in_order({"green", "brown", "10.0.0.2"}, {.rounds = 50, .sizes = {100, 1400}});
  EXPECT_TRUE(sent) << sent.error().text();
  ip("-n nic-veth0 link set veth0 up");
  EXPECT_TRUE(PacketSocket("red", "veth0").receive(kSoon)) << "not after it is up again";
}

// Those that its queue has never received into, too.
TEST_F(Nic, ThatIsRemovedGivesBackAllItsMemory) {
  start({.pairs = {nic_to_tap()}});
  daemon().allow_log("web");
  // A frame in the pool has a chunk beside it there, or a landing buffer.
  const auto missing = [] {
    const json::object now = stats();
    return of_all_workers(now, "frames_free") - of_all_workers(now, "chunks_free") -
           now.at("workers").as_array().size() * kLandingBuffers;
  };
  EXPECT_GT(missing(), 0U) << "those in the fill ring";
  ip("-n nic-veth0 link del veth0");
  EXPECT_TRUE(wait_until([&] { return missing() == 0; }, kSoon, "all chunks to be free"));
}

/// A veth changes them without a word to anybody, but keeps those that have sockets.
TEST_F(Nic, ShowsHowManyQueuesItsDeviceHasNow) {
  Pair pair = nic_to_tap();
  pair.a.queues = 2;
  make_netns_for({.pairs = {pair}});
  make_nics_for({.pairs = {pair}});
  const auto set = [](const char* netns, const char* count) {
    return run(words(std::string("ethtool -L veth0 ") + count), {.netns = netns}).exit_code == 0;
  };
  ASSERT_TRUE(set("red", "tx 1"));  // with a program a veth needs as many as its peer sends on
  ASSERT_TRUE(set("nic-veth0", "rx 1"));
  pair.a.queues = 1;
  start_with(to_toml({.pairs = {pair}}));
  for (const auto& [count, queues] : {std::pair("rx 2", 2U), std::pair("rx 1", 1U)}) {
    EXPECT_TRUE(set("nic-veth0", count));
    EXPECT_EQ(number(af_xdp(), "device_queues"), queues);
  }
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

TEST_F(Nic, OfTwoQueuesIsServedByTwoWorkers) {
  Pair pair = nic_to_nic();
  pair.a.queues = pair.b.queues = 2;
  start({.pairs = {pair}});
  const auto sent = udp_in_order(kRedToBlue, {.flows = 16, .rounds = 100, .sizes = {100, 1400}});
  EXPECT_TRUE(sent) << sent.error().text();
  for (const unsigned cpu : {0U, 1U})
    EXPECT_GT(number(softnet("default", cpu), "processed"), 0U) << cpu;
  EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "");
}

/// One queue, which worker 0 owns: what CPU 1 delivers it hands to worker 0, whose socket sends it.
TEST_F(Nic, TakesFramesThatAnotherWorkerDelivers) {
  Pair pair = nic_to_nic();
  pair.a.rps_cpus = pair.b.rps_cpus = {1};
  start({.pairs = {pair}});
  for (const Route& route : {kRedToBlue, kBlueToRed}) {
    const auto sent = udp_in_order(route, {.flows = 4, .rounds = 200, .sizes = {100, 1400}});
    EXPECT_TRUE(sent) << route.to_address << ": " << sent.error().text();
  }
  EXPECT_GT(number(softnet("default", 1), "received_rps"), 0U);
  for (const char* direction : {"a_to_b", "b_to_a"})
    EXPECT_EQ(drops_in(ledger("web", direction)), "") << direction;
}

/// Kernel counters of what arrived broken.
std::uint64_t checksum_errors(const std::string& netns) {
  const Finished done = run(words("nstat -asz --json"), {.netns = netns});
  const json::object counted = json::parse(done.out).at("kernel").as_object();
  std::uint64_t sum = 0;
  for (const char* name : {"TcpInCsumErrors", "UdpInCsumErrors", "Udp6InCsumErrors"})
    sum += number(counted, name);
  return sum;
}

TEST_F(Nic, FinishesChecksumsThatASenderLeft) {
  start({.pairs = {nic_to_nic()}});
  for (const Route& route : {kRedToBlue, kBlueToRed, Route{"red", "blue", "fd00::2"}}) {
    const auto udp = udp_in_order(route, {.rounds = 20, .sizes = {12, 13, 1400}});
    EXPECT_TRUE(udp) << udp.error().text();
    const auto tcp = tcp_both_ways(route, 1ULL << 20);
    EXPECT_TRUE(tcp) << tcp.error().text();
  }
  // The far sides take what an AF_XDP socket sends for frames without a verified checksum.
  for (const char* netns : {"red", "blue"}) EXPECT_EQ(checksum_errors(netns), 0U) << netns;
}

class Tunnelled : public Nic, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Mode, Tunnelled, testing::Values("copy", "generic"),
                         [](const auto& drawn) { return std::string(drawn.param); });

TEST_P(Tunnelled, TcpArrivesWithItsChecksumFinished) {
  start({.pairs = {nic_to_tap(GetParam())}});
  for (const char* outer : {"udpcsum", "noudpcsum"}) {
    for (const auto& [netns, own, other] : {std::tuple("red", "1", "2"), {"blue", "2", "1"}}) {
      const std::string of = std::string("-n ") + netns;
      ip(of + " link add vx0 type vxlan id 7 dstport 4789 local 192.168.1." + own +
         " remote 192.168.1." + other + " " + outer);
      ip(of + " address add 10.99.0." + own + "/24 dev vx0");
      ip(of + " link set vx0 up");
    }
    for (const Route& route : {Route{"red", "blue", "10.99.0.2"}, {"blue", "red", "10.99.0.1"}}) {
      const auto tcp = tcp_both_ways(route, 1ULL << 20);
      EXPECT_TRUE(tcp) << outer << ": " << tcp.error().text();
      const auto udp = udp_in_order(route, {.rounds = 20, .sizes = {12, 1400}});
      EXPECT_TRUE(udp) << outer << ": " << udp.error().text();
    }
    for (const char* netns : {"red", "blue"}) {
      EXPECT_EQ(checksum_errors(netns), 0U) << netns << ", " << outer;
      ip(std::string("-n ") + netns + " link del vx0");
    }
  }
}

TEST_F(Nic, KeepsWrongAndAbsentChecksumsAsTheyAre) {
  for (const Pair& pair : {nic_to_tap(), nic_to_nic()}) {
    start({.pairs = {pair}});
    const PacketSocket red("red", "veth0");
    Sniffer blue("blue", "veth1");
    std::vector<Frame> sent;
    for (const auto make : {tcp, udp})
      for (const bool v6 : {false, true})
        for (const Checksum checksum : {Checksum::finished, Checksum::wrong, Checksum::zero}) {
          sent.push_back(make({.v6 = v6, .checksum = checksum}).bytes);
          ASSERT_TRUE(red.send(sent.back()));
        }
    std::vector<Frame> received;
    const auto all_came = [&] {
      blue.read();
      received.clear();
      for (const Captured& frame : blue.received())
        if (std::ranges::count(sent, frame.bytes) > 0) received.push_back(frame.bytes);
      return received.size() == sent.size();
    };
    EXPECT_TRUE(wait_until(all_came, kSoon, "every frame, unchanged"));
    EXPECT_EQ(received, sent);
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "frames in flight to arrive"));
    EXPECT_TRUE(daemon().stop());
    daemon_is_gone();
    forget_netns();
  }
}

/// A call that the kernel turns down must not be the reason for the next.
TEST_F(Nic, ThatItsWorkerDrivesIsLeftAloneWhileItIsDown) {
  constexpr std::uint64_t kManyRounds = 1000;
  Pair pair = nic_to_nic();
  pair.a.xdp_keys = pair.b.xdp_keys = "busy_poll_budget = 64";
  start({.pairs = {pair}});
  EXPECT_TRUE(pings("red", "192.168.1.2"));
  ip("-n nic-veth0 link set veth0 down");
  const std::uint64_t before = of_all_workers(stats(), "rounds");
  pause_for(300ms);
  EXPECT_LT(of_all_workers(stats(), "rounds") - before, kManyRounds);
  ip("-n nic-veth0 link set veth0 up");
  EXPECT_TRUE(pings("red", "192.168.1.2"));
}

/// Sent minus what the socket's rows say was lost is what the daemon read.
TEST_F(Nic, CountsWhatItsRingsCouldNotHold) {
  Pair pair = nic_to_tap();
  pair.a.xdp_keys = "rx_ring = 64";
  start({.pairs = {pair}});
  const PacketSocket red("red", "veth0");
  constexpr std::uint32_t kSent = 500;
  const std::uint64_t before = number(ledger("web", "a_to_b"), "rx_frames");
  daemon().while_stopped([&] {
    for (std::uint32_t seed = 0; seed < kSent; ++seed) ASSERT_TRUE(red.send(test_frame(100, seed)));
  });
  const auto accounted = [&] {
    const json::object way = ledger("web", "a_to_b");
    const std::uint64_t read = number(way, "rx_frames") - before;
    const std::uint64_t lost = number(way, "xsk_rx_ring_full") + number(way, "xsk_rx_dropped");
    return lost > 0 && read + lost >= kSent;
  };
  EXPECT_TRUE(wait_until(accounted, kSoon, "every frame read or counted as lost"))
      << ledger("web", "a_to_b");
  const json::object way = ledger("web", "a_to_b");
  EXPECT_GE(number(way, "xsk_rx_ring_full"), kSent - 64 - 64) << way;
  EXPECT_EQ(number(way, "xsk_rx_invalid_descs"), 0U);
  EXPECT_TRUE(way.at("balanced").as_bool());
}

/// Whatever is done to it: traffic goes on afterwards, and teardown finds balanced ledgers.
class Attacked : public Nic, public testing::WithParamInterface<const char*> {
 protected:
  void expect_it_goes_on() {
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "nothing in flight"))
        << ledger("web", "a_to_b") << ledger("web", "b_to_a");
    const auto answers = [] { return static_cast<bool>(pings("red", "-4 192.168.1.2")); };
    EXPECT_TRUE(wait_until(answers, kSoon, "an answer"));
    for (const Route& route : {kRedToBlue, kBlueToRed}) {
      const auto sent = udp_in_order(route, {.rounds = 100, .sizes = {12, 1400, 4000}});
      EXPECT_TRUE(sent) << route.to_address << ": " << sent.error().text();
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Mode, Attacked, testing::Values("copy", "generic"),
                         [](const auto& drawn) { return std::string(drawn.param); });

TEST_P(Attacked, ByFloodsWhileItIsStopped) {
  for (const Pair& pair : {nic_to_tap(GetParam()), nic_to_nic(GetParam())}) {
    start({.pairs = {pair}});
    {
      const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
      const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
      for (int i = 0; i < 10; ++i) {
        daemon().while_stopped([] { pause_for(50ms); });
        pause_for(20ms);
      }
    }
    expect_it_goes_on();
    EXPECT_TRUE(daemon().stop());
    EXPECT_EQ(daemon().unexpected_log(), "");
    daemon_is_gone();
    forget_netns();
  }
}

TEST_P(Attacked, ByLinksThatFlapUnderLoad) {
  for (const Pair& pair : {nic_to_tap(GetParam()), nic_to_nic(GetParam())}) {
    start({.pairs = {pair}});
    {
      const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
      const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
      for (int i = 0; i < 8; ++i)
        for (const char* device : {"-n red link set veth0 ", "-n nic-veth0 link set veth0 ",
                                   "-n blue link set veth1 "}) {
          ip(device + std::string("down"));
          ip(device + std::string("up"));
        }
    }
    for (const auto& [netns, ifname] :
         {std::pair("red", "veth0"), std::pair("nic-veth0", "veth0"), std::pair("blue", "veth1")}) {
      const auto up = [&] { return link_of(netns, ifname).operstate == "UP"; };
      EXPECT_TRUE(wait_until(up, kSoon, netns));
    }
    expect_it_goes_on();
    EXPECT_TRUE(daemon().stop());
    EXPECT_EQ(daemon().unexpected_log(), "");
    daemon_is_gone();
    forget_netns();
  }
}

TEST_F(Nic, DoesNotMindAddressesThatComeAndGo) {
  start({.pairs = {nic_to_nic()}});
  const FrameSource there("red", "veth0", FrameSource::Pace::one_per_millisecond);
  for (int i = 0; i < 20; ++i) {
    ip("-n nic-veth0 address add 10.8.0.1/24 dev veth0");
    ip("-n nic-veth0 link set veth0 address 02:00:00:00:01:" + std::to_string(10 + i));
    ip("-n nic-veth0 address del 10.8.0.1/24 dev veth0");
  }
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "");
}

}  // namespace
}  // namespace vethd::system_test

// What programs send arrives, whole, unchanged and in order.
#include <sys/utsname.h>

#include <boost/json.hpp>
#include <cstdio>
#include <future>
#include <string_view>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

constexpr std::uint64_t kGibibyte = 1ULL << 30;

const Route kRedToBlue = {"red", "blue", "192.168.1.2"};
const Route kBlueToRed = {"blue", "red", "192.168.1.1"};
const Route kRedToBlueV6 = {"red", "blue", "fd00::2"};

/// Small, odd, full, and longer than the MTU: those travel as IP fragments.
const std::vector<std::uint32_t> kMixedSizes = {12,   13,   64, 999,   1400, 1472,
                                                1473, 4000, 12, 30001, 65507};

class Traffic : public OnWires {};
VETHD_ON_WIRES(kEveryWire, Traffic);

TEST_P(Traffic, PingsAnswerInBothFamiliesAsSoonAsThePairIsReady) {
  connect({.pairs = {red_to_blue()}});
  // One try each: a duplicate address detection still running would lose the first.
  EXPECT_TRUE(pings("red", "-6 fd00::2"));
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  EXPECT_TRUE(pings("blue", "-4 192.168.1.1"));
  EXPECT_TRUE(pings("blue", "-6 fd00::1"));
  expect_no_drops("web");
}

/// The address red learned for a neighbour of its only link; empty while it is unsure.
std::string learned_mac(const std::string& neighbour) {
  const auto known = boost::json::parse(ip("-n red -j neigh show to " + neighbour + " dev veth0"));
  if (known.as_array().empty()) return {};
  const boost::json::object entry = known.at(0).as_object();
  const bool reachable = entry.at("state").at(0) == "REACHABLE";
  return reachable ? std::string(entry.at("lladdr").as_string()) : "";
}

TEST_P(Traffic, NeighboursLearnEachOtherByArpAndNeighbourDiscovery) {
  Pair pair = red_to_blue();
  pair.b.mac = "02:00:00:00:00:0b";
  connect({.pairs = {pair}});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  EXPECT_EQ(learned_mac("192.168.1.2"), pair.b.mac);
  ASSERT_TRUE(pings("red", "-6 fd00::2"));
  EXPECT_EQ(learned_mac("fd00::2"), pair.b.mac);
}

TEST_P(Traffic, TcpCarriesAGibibyteBothWaysAtOnceUnchanged) {
  connect({.pairs = {red_to_blue()}});
  const auto sent = tcp_both_ways(kRedToBlue, volume(kGibibyte));
  EXPECT_TRUE(sent) << sent.error().text();
}

TEST_P(Traffic, TcpOverIpv6ArrivesUnchanged) {
  connect({.pairs = {red_to_blue()}});
  const auto sent = tcp_both_ways(kRedToBlueV6, volume(kGibibyte / 8));
  EXPECT_TRUE(sent) << sent.error().text();
}

TEST_P(Traffic, UdpDatagramsOfEverySizeArriveUnchangedAndInOrder) {
  connect({.pairs = {red_to_blue()}});
  for (const Route& route : {kRedToBlue, kBlueToRed, kRedToBlueV6}) {
    const auto sent = udp_in_order(route, {.rounds = rounds(300), .sizes = kMixedSizes});
    EXPECT_TRUE(sent) << route.to_address << ": " << sent.error().text();
  }
  expect_no_drops("web");
}

TEST_P(Traffic, UdpBatchesSegmentedByTheStackArriveUnchangedAndInOrder) {
  connect({.pairs = {red_to_blue()}});
  std::vector<std::uint32_t> sizes(40, 1000);
  sizes.push_back(123);  // only the last segment may be shorter
  for (const Route& route : {kRedToBlue, kBlueToRed, kRedToBlueV6}) {
    const auto sent =
        udp_in_order(route, {.rounds = rounds(500), .sizes = sizes, .segment_bytes = 1000});
    EXPECT_TRUE(sent) << route.to_address << ": " << sent.error().text();
  }
  expect_no_drops("web");
}

TEST_P(Traffic, FramesWithAVlanTagKeepItAndEveryOtherByte) {
  connect({.pairs = {red_to_blue()}});
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  for (const std::size_t frame_bytes : {64U, 1000U, 1518U}) {
    const Frame frame = test_frame(frame_bytes, 7, 0x6123);  // priority 3, VLAN 0x123
    ASSERT_TRUE(red.send(frame));
    EXPECT_EQ(blue.receive(2s), frame) << frame_bytes << " bytes";
  }
  expect_no_drops("web");
}

TEST_P(Traffic, AHeaderWithoutPayloadIsAFrameToo) {
  connect({.pairs = {red_to_blue()}});
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  const Frame frame = test_frame(14, 0);
  ASSERT_TRUE(red.send(frame));
  EXPECT_EQ(blue.receive(2s), frame);
}

class Tunnels : public OnWires {};
VETHD_ON_WIRES(kBothWires, Tunnels);

/// From Linux 6.17 on a TAP takes super-frames in UDP tunnels.
bool taps_take_tunnels() {
  utsname name{};
  unsigned major = 0;
  unsigned minor = 0;
  return ::uname(&name) == 0 && std::sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 17));
}

std::int64_t rx_packets(const std::string& netns, const std::string& ifname) {
  const auto links = boost::json::parse(ip("-n " + netns + " -s -j link show " + ifname));
  return links.at(0).at("stats64").at("rx").at("packets").to_number<std::int64_t>();
}

TEST_P(Tunnels, TcpInVxlanCrossesInSuperFrames) {
  connect({.pairs = {red_to_blue()}});
  constexpr std::uint64_t kBytes = 8ULL << 20;
  const auto make = [](const std::string& netns, const std::string& outer, const std::string& ends,
                       const std::string& address) {
    ip("-n " + netns + " link add vx0 type vxlan id 7 dstport 4789 " + outer + " " + ends);
    ip("-n " + netns + " addr add " + address + "/24 dev vx0");
    ip("-n " + netns + " link set vx0 up");
  };
  for (const char* outer : {"udpcsum", "noudpcsum", "udp6zerocsumtx udp6zerocsumrx", ""}) {
    const bool v6 = std::string_view(outer).find("udpcsum") == std::string_view::npos;
    const std::string red = v6 ? "fd00::1" : "192.168.1.1";
    const std::string blue = v6 ? "fd00::2" : "192.168.1.2";
    make("red", outer, "dev veth0 local " + red + " remote " + blue, "10.9.0.1");
    make("blue", outer, "dev veth1 local " + blue + " remote " + red, "10.9.0.2");
    const std::int64_t before = rx_packets("blue", "veth1");
    const auto sent = tcp_both_ways({"red", "blue", "10.9.0.2"}, kBytes);
    EXPECT_TRUE(sent) << outer << ": " << sent.error().text();
    // A segment has 1398 bytes; half of what arrives are acknowledgements.
    if (!on_vethd() || taps_take_tunnels()) {
      EXPECT_LT(rx_packets("blue", "veth1") - before, static_cast<std::int64_t>(kBytes / 4000))
          << outer;
    }
    ip("-n red link del vx0");
    ip("-n blue link del vx0");
  }
  if (on_vethd()) {
    EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "");
    EXPECT_EQ(drops_in(ledger("web", "b_to_a")), "");
  }
}

/// Sixteen flows each way at once over four queues.
void expect_flows_in_order(std::uint32_t rounds) {
  const UdpPlan plan{
      .flows = 16, .rounds = rounds, .sizes = {100, 1400, 12, 700, 64, 1000, 99, 1472}};
  auto there = std::async(std::launch::async, [&] { return udp_in_order(kRedToBlue, plan); });
  auto back = std::async(std::launch::async, [&] { return udp_in_order(kBlueToRed, plan); });
  for (auto* way : {&there, &back}) {
    const auto sent = way->get();
    EXPECT_TRUE(sent) << sent.error().text();
  }
}

Pair with_four_queues(const std::vector<unsigned>& rps_cpus) {
  Pair pair = red_to_blue();
  pair.a.queues = pair.b.queues = 4;
  pair.a.rps_cpus = pair.b.rps_cpus = rps_cpus;
  return pair;
}

TEST_P(Traffic, QueuesKeepEachFlowInOrder) {
  connect({.pairs = {with_four_queues({})}});
  expect_flows_in_order(rounds(400));
  expect_no_drops("web");
}

TEST_P(Traffic, QueuesWithRpsKeepEachFlowInOrder) {
  connect({.pairs = {with_four_queues({0, 1})}});
  expect_flows_in_order(rounds(400));
  expect_no_drops("web");
  if (on_vethd()) {
    EXPECT_GT(number(softnet("default", 1), "received_rps"), 0U);
  }
}

TEST_P(Traffic, TcpOverFourQueuesArrivesUnchanged) {
  connect({.pairs = {with_four_queues({0, 1})}});
  std::vector<std::future<Result<void>>> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(
        std::async(std::launch::async, tcp_both_ways, kRedToBlue, volume(kGibibyte / 8)));
  }
  for (auto& stream : streams) {
    const auto sent = stream.get();
    EXPECT_TRUE(sent) << sent.error().text();
  }
}

}  // namespace
}  // namespace vethd::system_test

// Ends on NICs that lend their queues to us, in a machine of tests/vm: every size, tags, long
// frames, rings that run full, and what may happen to a device meanwhile.
//
//   red: eth0 ---- wire ---- eth1 = AF_XDP = vethd = AF_XDP = eth2 ---- wire ---- eth3 :blue
//                                          = TAP = veth1 :blue
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/system/lib/crafted.hpp"
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/hardware.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

// The machine is some ten times slower than its host, and an igb's link is down for half a second
// whenever something is changed.
constexpr milliseconds kSoon = 20s;

constexpr std::size_t kShortestFrame = 60;
constexpr std::size_t kLongestFrame = 1514;
constexpr std::size_t kTagBytes = 4;
constexpr std::uint64_t kDescriptors = 256;  // of a queue of the NICs here
constexpr std::uint64_t kFillRing = 4096;    // config/schema.hpp

const Route kRedToBlue = {"red", "blue", "192.168.1.2"};
const Route kBlueToRed = {"blue", "red", "192.168.1.1"};

End red_nic() {
  return {.netns = "red",
          .ifname = "eth0",
          .addresses = {"192.168.1.1/24"},
          .xdp_mode = "zerocopy",
          .nic = "eth1"};
}

End blue_nic() {
  return {.netns = "blue",
          .ifname = "eth3",
          .addresses = {"192.168.1.2/24"},
          .xdp_mode = "zerocopy",
          .nic = "eth2"};
}

End blue_tap() { return {.netns = "blue", .ifname = "veth1", .addresses = {"192.168.1.2/24"}}; }

Pair nic_to_nic() { return {.name = "web", .a = red_nic(), .b = blue_nic()}; }
Pair nic_to_tap() { return {.name = "web", .a = red_nic(), .b = blue_tap()}; }

/// What the device itself has counted, whoever took it.
std::uint64_t received_by(const End& end) {
  const std::string shown = ip("-n " + nic_netns(end) + " -j -s link show dev " + nic_ifname(end));
  const json::value link = json::parse(shown).as_array().at(0);
  return number(link.at("stats64").at("rx").as_object(), "packets");
}

std::uint64_t free_chunks() { return of_all_workers(stats(), "chunks_free"); }

class ZeroCopy : public System {
 protected:
  void SetUp() override {
    const std::string missing = missing_hardware();
    if (!missing.empty()) GTEST_SKIP() << missing;
    be_patient(kSoon);
    System::SetUp();
  }
  void TearDown() override {
    if (missing_hardware().empty()) System::TearDown();
  }

  void make(const Pair& pair) {
    make_netns_for({.pairs = {pair}});
    make_nics_for({.pairs = {pair}});
  }

  /// On devices that are there, and with what it asks for.
  void take(const Pair& pair) {
    start_with(to_toml({.pairs = {pair}}));
    for (const auto& [side, end] : {std::pair("a", &pair.a), std::pair("b", &pair.b)}) {
      if (end->xdp_mode == "zerocopy") {
        EXPECT_EQ(af_xdp(side).at("mode"), "zerocopy");
      }
    }
  }

  void make_and_take(const Pair& pair) {
    make(pair);
    take(pair);
  }

  static json::object af_xdp(const char* side) {
    return pair_in(show(), "web").at(side).at("af_xdp").as_object();
  }

  void stop_cleanly() {
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "frames in flight to arrive"));
    EXPECT_TRUE(daemon().stop(kSoon));
    EXPECT_EQ(daemon().unexpected_log(), "");
    daemon_is_gone();
  }
};

/// Each compared with what arrives, in order.
void expect_unchanged(const PacketSocket& from, const PacketSocket& to,
                      const std::vector<Frame>& frames) {
  constexpr std::size_t kOnTheirWay = 32;  // few enough for every queue
  std::size_t arrived = 0;
  for (std::size_t sent = 0; arrived < frames.size(); ++arrived) {
    for (; sent < frames.size() && sent < arrived + kOnTheirWay; ++sent)
      ASSERT_TRUE(from.send(frames[sent])) << sent;
    ASSERT_EQ(to.receive(kSoon), frames[arrived])
        << "number " << arrived << " of " << frames[arrived].size() << " bytes";
  }
}

std::vector<Frame> frames_of_every_size() {
  std::vector<Frame> frames;
  for (std::size_t size = kShortestFrame; size <= kLongestFrame; ++size)
    frames.push_back(test_frame(size, static_cast<std::uint32_t>(size)));
  return frames;
}

/// One kind at a time: the stacks of the far ends do not keep frames of several in order, fq_codel
/// where they send, lists of received frames where a packet socket takes them.
std::vector<Frame> tagged_frames(std::optional<std::uint16_t> service_vlan) {
  constexpr std::uint16_t kPriority3Vlan = 0x6123;
  // A far end that takes the tags out pads what is left.
  constexpr std::size_t kShortest = kShortestFrame + 2 * kTagBytes;
  // A packet socket sends no longer ones with 802.1ad.
  const std::size_t longest = kLongestFrame + (service_vlan ? 0 : kTagBytes);
  std::vector<Frame> frames;
  for (const std::size_t size : {kShortest, kShortest + 1, longest / 2, longest - 1, longest})
    frames.push_back(
        test_frame(size, static_cast<std::uint32_t>(size), kPriority3Vlan, service_vlan));
  return frames;
}

/// After whatever was done to it.
void expect_it_goes_on() {
  EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "nothing in flight"))
      << ledger("web", "a_to_b") << ledger("web", "b_to_a");
  const auto answers = [] { return static_cast<bool>(pings("red", "192.168.1.2")); };
  EXPECT_TRUE(wait_until(answers, kSoon, "an answer"));
  for (const Route& route : {kRedToBlue, kBlueToRed}) {
    const auto sent = udp_in_order(route, {.rounds = 30, .sizes = {12, 700, 1472}});
    EXPECT_TRUE(sent) << route.to_address << ": " << sent.error().text();
  }
}

TEST_F(ZeroCopy, FramesOfEverySizeAndTagCrossBothWays) {
  for (const Pair& pair : {nic_to_nic(), nic_to_tap()}) {
    make(pair);
    const std::string stripping = vlan_stripping(pair.a);
    take(pair);
    EXPECT_TRUE(vlan_stripping(pair.a).starts_with("off"));
    {
      const PacketSocket red("red", pair.a.ifname);
      const PacketSocket blue("blue", pair.b.ifname);
      constexpr std::uint16_t kServiceVlan = 0x0456;
      for (const auto& frames :
           {frames_of_every_size(), tagged_frames({}), tagged_frames(kServiceVlan)}) {
        expect_unchanged(red, blue, frames);
        expect_unchanged(blue, red, frames);
      }
    }
    for (const char* direction : {"a_to_b", "b_to_a"})
      EXPECT_EQ(drops_in(ledger("web", direction)), "") << direction;
    stop_cleanly();
    EXPECT_EQ(vlan_stripping(pair.a), stripping);
    forget_netns();
  }
}

/// What vethd changes of a device. Others may have made it promiscuous before.
std::string state_of(const End& end) {
  const std::string details = nic_details(end);
  const std::string name = "promiscuity ";
  const std::size_t at = details.find(name);
  if (at == std::string::npos) return details;
  return details.substr(at, details.find(' ', at + name.size()) - at) +
         (details.find("prog/xdp") == details.npos ? "" : ", a program") + ", stripping " +
         vlan_stripping(end);
}

TEST_F(ZeroCopy, AKillUnderLoadLeavesTheDevicesAsTheyWere) {
  const Pair pair = nic_to_nic();
  make(pair);
  const std::array before = {state_of(pair.a), state_of(pair.b)};
  take(pair);
  {
    const FrameSource there("red", "eth0", FrameSource::Pace::as_fast_as_possible);
    const FrameSource back("blue", "eth3", FrameSource::Pace::as_fast_as_possible);
    ASSERT_TRUE(PacketSocket("blue", "eth3").receive(kSoon)) << "no load";
    daemon().process().signal(SIGKILL);
    ASSERT_EQ(daemon().process().wait_exit(kSoon), 128 + SIGKILL);
  }
  daemon_is_gone();
  const auto are_as_they_were = [&] {
    return std::array{state_of(pair.a), state_of(pair.b)} == before;
  };
  EXPECT_TRUE(wait_until(are_as_they_were, kSoon, "the devices as they were"))
      << before[0] << " and " << before[1] << ", now " << state_of(pair.a) << " and "
      << state_of(pair.b);
  take(pair);
  expect_it_goes_on();
}

Frame to_mac(const std::array<std::uint8_t, 6>& mac, std::uint32_t seed, std::uint16_t vlan) {
  Frame frame = test_frame(100, seed, vlan);
  std::ranges::copy(mac, frame.begin());
  return frame;
}

/// A NIC filters addresses and VLANs itself, before any program sees a frame.
TEST_F(ZeroCopy, SteeringByAddressAndVlanReachesBehindTheFiltersOfTheDevice) {
  Pair pair = nic_to_tap();
  pair.a.xdp_keys = "steer = { mac = \"02:00:00:00:00:42\", vlan = 7 }";
  make_and_take(pair);
  const PacketSocket red("red", "eth0");
  const PacketSocket blue("blue", "veth1");
  const Frame ours = to_mac({0x02, 0, 0, 0, 0, 0x42}, 1, 7);
  for (const Frame& frame :
       {to_mac({0x02, 0, 0, 0, 0, 0x43}, 2, 7), to_mac({0x02, 0, 0, 0, 0, 0x42}, 3, 8), ours})
    ASSERT_TRUE(red.send(frame));
  EXPECT_EQ(blue.receive(kSoon), ours);
}

/// Segments of a stream, or datagrams, sent at once; how many of them were written with the one
/// before.
std::uint64_t merged_of(Daemon& daemon, const std::function<Input(const Packet&)>& make) {
  constexpr unsigned kFrames = 20;
  const auto before = ledger("web", "a_to_b");
  const PacketSocket red("red", "eth0");
  daemon.while_stopped([&] {
    for (unsigned n = 1; n <= kFrames; ++n) EXPECT_TRUE(red.send(make({.n = n}).bytes));
  });
  json::object after;
  const auto all_written = [&] {
    after = ledger("web", "a_to_b");
    return number(after, "tx_frames") >= number(before, "tx_frames") + kFrames;
  };
  EXPECT_TRUE(wait_until(all_written, kSoon, "all frames written"));
  return number(after, "tx_coalesced") - number(before, "tx_coalesced");
}

TEST_F(ZeroCopy, TcpForATapIsMergedAsTheCardsOwnStackWould) {
  const Pair pair = nic_to_tap();
  make_and_take(pair);
  const auto ethtool = [&](const std::string& features) {
    const Finished done = run(words("ethtool -K eth1 " + features), {.netns = nic_netns(pair.a)});
    ASSERT_EQ(done.exit_code, 0) << done.err;
  };
  ethtool("gro on");
  const auto tcp_is_merged = [&] { return merged_of(daemon(), tcp) > 0; };
  EXPECT_TRUE(wait_until(tcp_is_merged, kSoon, "segments to be merged"));
  EXPECT_EQ(merged_of(daemon(), udp), 0U) << "without rx-udp-gro-forwarding";
  ethtool("gro off");
  const auto tcp_is_left_alone = [&] { return merged_of(daemon(), tcp) == 0; };
  EXPECT_TRUE(wait_until(tcp_is_left_alone, kSoon, "the switch to be noticed"));
  ethtool("gro on");
}

TEST_F(ZeroCopy, LongFramesAreRefusedByNameAndCrossInAnotherMode) {
  Pair pair = nic_to_tap();
  pair.a.mtu = pair.b.mtu = 9000;
  make(pair);
  const Finished refused = run_vethd({"--config", write_config(to_toml({.pairs = {pair}}))});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("mtu 9000"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("lower it"), std::string::npos) << refused.err;

  pair.a.xdp_mode = "auto";
  take(pair);
  const json::object shown = af_xdp("a");
  EXPECT_NE(shown.at("mode"), "zerocopy");
  ASSERT_FALSE(shown.at("refused").as_array().empty());
  EXPECT_NE(shown.at("refused").at(0).as_string().find("mtu 9000"), json::string::npos) << shown;
  EXPECT_TRUE(shown.at("multi_buffer").as_bool());
  if (shown.at("mode") == "generic")  // which sees what the stack has merged
    run(words("ethtool -K eth1 gro off"), {.netns = nic_netns(pair.a)});
  EXPECT_TRUE(pings("red", "-M do -s 8972 192.168.1.2"));
  EXPECT_TRUE(pings("blue", "-M do -s 8972 192.168.1.1"));
  const auto sent = tcp_both_ways(kRedToBlue, 2ULL << 20);
  EXPECT_TRUE(sent) << sent.error().text();
}

/// Nobody empties the rings while the daemon stands still.
TEST_F(ZeroCopy, FloodsLoseNothingThatIsNotCounted) {
  const Pair pair = nic_to_nic();
  make_and_take(pair);
  expect_it_goes_on();
  const auto lost = [](const json::object& way) {
    return number(way, "xsk_rx_ring_full") + number(way, "xsk_rx_dropped");
  };
  const auto uncounted = [&] {  // of each end: what came, less what its rows say
    std::vector<std::uint64_t> each;
    for (const auto& [end, way] :
         {std::pair(&pair.a, ledger("web", "a_to_b")), std::pair(&pair.b, ledger("web", "b_to_a"))})
      each.push_back(received_by(*end) - number(way, "rx_frames") - lost(way));
    return each;
  };
  // A frame may come between two looks: neighbours ask for each other.
  std::vector<std::uint64_t> before = uncounted();
  const auto is_steady = [&] {
    const std::vector<std::uint64_t> now = uncounted();
    return std::exchange(before, now) == now;
  };
  EXPECT_TRUE(wait_until(is_steady, kSoon, "a quiet wire"));
  const std::uint64_t chunks = free_chunks();
  for (int i = 0; i < 3; ++i) {
    {
      const FrameSource there("red", "eth0", FrameSource::Pace::as_fast_as_possible);
      const FrameSource back("blue", "eth3", FrameSource::Pace::as_fast_as_possible);
      daemon().while_stopped([] { pause_for(1s); });
      pause_for(200ms);
    }
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "nothing in flight"));
  }
  const auto all_counted = [&] { return uncounted() == before; };
  EXPECT_TRUE(wait_until(all_counted, kSoon, "every frame that came counted as read or lost"))
      << testing::PrintToString(before) << " before, now " << testing::PrintToString(uncounted())
      << ledger("web", "a_to_b") << ledger("web", "b_to_a");
  std::uint64_t lost_chunks = 0;
  for (const char* direction : {"a_to_b", "b_to_a"}) {
    const json::object way = ledger("web", direction);
    EXPECT_GT(lost(way), 2 * kDescriptors) << direction << ": no flood";
    EXPECT_EQ(number(way, "xsk_rx_invalid_descs") + number(way, "xsk_tx_invalid_descs"), 0U);
    lost_chunks += lost(way);
  }
  // Less by what the devices themselves may hold now and did not before, and no more.
  EXPECT_GT(lost_chunks, 2 * kDescriptors);
  EXPECT_GE(free_chunks() + 2 * kDescriptors, chunks);
  expect_it_goes_on();
}

testing::AssertionResult tap_has_carrier(bool wanted) {
  return wait_until([&] { return link_of("blue", "veth1").carrier == wanted; }, kSoon,
                    wanted ? "carrier at the TAP" : "no carrier at the TAP");
}

TEST_F(ZeroCopy, ATapFollowsTheCableAndTheLinkUnderLoad) {
  make_and_take(nic_to_tap());
  {
    const FrameSource there("red", "eth0", FrameSource::Pace::as_fast_as_possible);
    const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
    const auto set_cable = [](bool in) { plug_cable("eth1", in); };
    const auto set_link = [](bool up) {
      ip(std::string("-n nic-eth0 link set eth1 ") + (up ? "up" : "down"));
    };
    const std::vector<std::pair<const char*, std::function<void(bool)>>> both = {
        {"cable", set_cable}, {"link", set_link}};
    for (const auto& [what, set] : both) {
      for (const bool there_now : {false, true}) {
        set(there_now);
        EXPECT_TRUE(tap_has_carrier(there_now)) << what << ip("-n nic-eth0 link show dev eth1");
      }
    }
  }
  expect_it_goes_on();
}

TEST_F(ZeroCopy, LinksMayFlapUnderLoad) {
  make_and_take(nic_to_nic());
  {
    const FrameSource there("red", "eth0", FrameSource::Pace::as_fast_as_possible);
    const FrameSource back("blue", "eth3", FrameSource::Pace::as_fast_as_possible);
    for (int i = 0; i < 3; ++i) {
      for (const char* device : {"-n nic-eth0 link set eth1 ", "-n nic-eth3 link set eth2 "}) {
        ip(device + std::string("down"));
        ip(device + std::string("up"));
      }
      plug_cable("eth2", false);
      pause_for(50ms);
      plug_cable("eth2", true);
    }
  }
  for (const auto& [netns, ifname] :
       {std::pair("nic-eth0", "eth1"), std::pair("nic-eth3", "eth2")}) {
    const auto is_up = [&] { return link_of(netns, ifname).operstate == "UP"; };
    EXPECT_TRUE(wait_until(is_up, kSoon, ifname));
  }
  expect_it_goes_on();
}

/// Twice, so that the second start shows that it comes back.
TEST_F(ZeroCopy, ADeviceThatIsRemovedUnderLoadTakesItsPairWithItAndNoOther) {
  const Pair other = {.name = "other",
                      .a = {.netns = "green", .ifname = "veth2", .addresses = {"192.168.1.3/24"}},
                      .b = blue_nic()};
  Pair web = nic_to_tap();
  web.b.netns = "brown";
  for (const auto& take_out : {&unbind_driver, &remove_device}) {
    start({.pairs = {web, other}});
    const std::string slot = slot_of("nic-eth0", "eth1");
    const std::uint64_t chunks = free_chunks();
    {
      // Out of the device only: to one without a driver QEMU's wire keeps what is sent, and with
      // the frames the sender's socket and its namespace.
      const FrameSource back("brown", "veth1", FrameSource::Pace::one_per_millisecond);
      ASSERT_TRUE(PacketSocket("red", "eth0").receive(kSoon)) << "no load";
      daemon().allow_log("web");
      take_out(slot);
      const auto tap_is_gone = [] { return !link_of("brown", "veth1").exists; };
      EXPECT_TRUE(wait_until(tap_is_gone, kSoon, "the TAP to go too"));
    }
    const auto is_forgotten = [] { return pair_in(show(), "web").empty(); };
    EXPECT_TRUE(wait_until(is_forgotten, kSoon, "vethctl to show the pair no more"));
    EXPECT_NE(daemon().process().err().find("nic-eth0/eth1 is gone"), std::string::npos)
        << daemon().process().err();
    // Meanwhile the other device took the chunks that it works with.
    const auto memory_is_home = [&] { return free_chunks() + kDescriptors >= chunks + kFillRing; };
    EXPECT_TRUE(wait_until(memory_is_home, kSoon, "the chunks that it had"))
        << chunks << " before, now " << free_chunks();
    const auto sent =
        udp_in_order({"green", "blue", "192.168.1.2"}, {.rounds = 30, .sizes = {100, 1400}});
    EXPECT_TRUE(sent) << sent.error().text();
    stop_cleanly();
    put_back(slot);
    forget_netns();
  }
}

/// An igb has a queue for each of the machine's two CPUs.
using ZeroCopyOfTwoQueues = ZeroCopy;

TEST_F(ZeroCopyOfTwoQueues, AChangeOfChannelsUnderLoadIsReported) {
  make_and_take(nic_to_tap());
  const auto set = [](unsigned count) {
    return run(words("ethtool -L eth1 combined " + std::to_string(count)), {.netns = "nic-eth0"});
  };
  daemon().allow_log("nic-eth0/eth1");
  {
    const FrameSource there("red", "eth0", FrameSource::Pace::as_fast_as_possible);
    const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
    for (const unsigned count : {2U, 1U}) {
      const Finished done = set(count);
      EXPECT_EQ(done.exit_code, 0) << done.err;
      const auto is_shown = [&] { return number(af_xdp("a"), "device_queues") == count; };
      EXPECT_TRUE(wait_until(is_shown, kSoon, "vethctl to show what it has")) << af_xdp("a");
    }
  }
  for (const char* said : {"nic-eth0/eth1 now receives on 2 queues", "ethtool -L eth1 combined 1",
                           "nic-eth0/eth1 receives on 1 queue again"}) {
    // With the link, which goes down and comes back.
    const auto is_said = [&] { return daemon().process().err().find(said) != std::string::npos; };
    EXPECT_TRUE(wait_until(is_said, kSoon, said)) << daemon().process().err();
  }
  expect_it_goes_on();
}

TEST_F(ZeroCopyOfTwoQueues, ChannelsThatItUsesStay) {
  Pair pair = nic_to_tap();
  pair.a.queues = 2;
  make_and_take(pair);
  const Finished done = run(words("ethtool -L eth1 combined 1"), {.netns = "nic-eth0"});
  EXPECT_NE(done.exit_code, 0) << "sockets of a queue that has gone";
  expect_it_goes_on();
  EXPECT_EQ(number(af_xdp("a"), "device_queues"), 2U);
}

}  // namespace
}  // namespace vethd::system_test

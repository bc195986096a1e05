// Links that change, move or vanish underneath a running pair.
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

constexpr milliseconds kSoon = 5s;

/// Where the pair's end b is: an AF_XDP end is on the other side of a veth.
struct Place {
  std::string netns, ifname;
};
Place place_of(const End& end, bool is_xdp) {
  return is_xdp ? Place{nic_netns(end), nic_ifname(end)} : Place{end.netns, end.ifname};
}

class Links : public OnWires {
 protected:
  [[nodiscard]] Place end_b() const { return place_of(red_to_blue().b, b_is_xdp()); }
};
VETHD_ON_WIRES(kEveryWire, Links);

struct Carriers {
  bool a, b;
  friend bool operator==(const Carriers&, const Carriers&) = default;
};

testing::AssertionResult carriers_become(Carriers expected) {
  const auto same = [&] {
    return Carriers{link_of("red", "veth0").carrier, link_of("blue", "veth1").carrier} == expected;
  };
  const auto text = [](bool carrier) { return carrier ? "carrier" : "no carrier"; };
  return wait_until(same, kSoon,
                    std::string(text(expected.a)) + " at a, " + text(expected.b) + " at b");
}

testing::AssertionResult operstates_become(Carriers expected) {
  const auto same = [&] {
    return link_of("red", "veth0").operstate == (expected.a ? "UP" : "DOWN") &&
           link_of("blue", "veth1").operstate == (expected.b ? "UP" : "DOWN");
  };
  return wait_until(same, kSoon, "operstates that follow");
}

TEST_P(Links, LoseCarrierAtBothEndsWhileOneIsDown) {
  connect({.pairs = {red_to_blue()}});
  EXPECT_EQ(link_of("red", "veth0").operstate, "UP");
  const struct {
    const char* device;
    Carriers without;  // a veth under AF_XDP sockets keeps its own
  } kCases[] = {{"-n blue link set veth1", {.a = a_is_xdp(), .b = false}},
                {"-n red link set veth0", {.a = false, .b = b_is_xdp()}}};
  for (const auto& [device, without] : kCases) {
    const std::string set = device;
    ip(set + " down");
    EXPECT_TRUE(carriers_become(without)) << set << " down";
    EXPECT_TRUE(operstates_become(without)) << set << " down";
    ip(set + " up");
    EXPECT_TRUE(carriers_become({true, true})) << set << " up";
    EXPECT_TRUE(operstates_become({true, true})) << set << " up";
    const auto has_carrier = [&] {
      return !on_vethd() || pair_in(show(), "web").at("carrier").as_bool();
    };
    EXPECT_TRUE(wait_until(has_carrier, kSoon, "vethctl to show carrier"));
    EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  }
}

/// Waits for a frame younger than anything sent before the call.
testing::AssertionResult frames_keep_coming(const PacketSocket& socket) {
  constexpr int kQueued = 100000;  // more than the socket can hold from before
  for (int i = 0; i < kQueued && socket.receive(0ms); ++i) {
  }
  if (socket.receive(kSoon)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no frame within " << kSoon.count() << " ms";
}

TEST_P(Links, GoOnUnderANewName) {
  connect({.pairs = {red_to_blue()}});
  const FrameSource traffic("red", "veth0", FrameSource::Pace::one_per_millisecond);
  const PacketSocket blue("blue", "veth1");  // bound to the device, not to its name
  ASSERT_TRUE(frames_keep_coming(blue));
  const Place b = end_b();
  ip("-n " + b.netns + " link set " + b.ifname + " name uplink");
  EXPECT_TRUE(frames_keep_coming(blue));
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  if (on_vethd()) {
    const auto followed = [] { return pair_in(show(), "web").at("b").at("ifname") == "uplink"; };
    EXPECT_TRUE(wait_until(followed, kSoon, "vethctl to show the new name"));
  }
}

// What a veth is like and may do that a device with AF_XDP sockets is not and may not: it is there
// before vethd, and to leave its namespace ends the sockets (Vanishing).
class TapLinks : public OnWires {};
VETHD_ON_WIRES(kBothWires, TapLinks);

TEST_P(TapLinks, LookLikeAFreshVeth) {
  connect({.pairs = {red_to_blue()}});
  for (const auto& [netns, ifname] : {std::pair("red", "veth0"), std::pair("blue", "veth1")}) {
    const Link link = link_of(netns, ifname);
    EXPECT_TRUE(link.up && link.carrier);
    EXPECT_EQ(link.operstate, "UP");
    EXPECT_EQ(link.qdisc, "noqueue");
    EXPECT_EQ(link.mtu, 1500U);
    const std::string features = run({"ethtool", "-k", ifname}, {.netns = netns}).out;
    EXPECT_NE(features.find("generic-receive-offload: off"), std::string::npos) << features;
    EXPECT_NE(features.find("tcp-segmentation-offload: on"), std::string::npos) << features;
    EXPECT_NE(features.find("tx-checksumming: on"), std::string::npos) << features;
  }
}

/// As a program does that announces its address the moment its device is up: no process in between.
void set_up(const Fd& socket, const char* ifname, bool up) {
  ifreq request{};
  std::strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(up ? IFF_UP : 0);
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0) << ifname;
}

void set_mtu(const Fd& socket, const char* ifname, int mtu) {
  ifreq request{};
  std::strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
  request.ifr_mtu = mtu;
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFMTU, &request), 0) << ifname;
}

Fd control_socket(const std::string& netns) {
  return inside(netns, [] { return Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}; });
}

constexpr int kAtOnce = 20;

TEST_P(TapLinks, CarryWhatIsSentAtOnceAfterUp) {
  connect({.pairs = {red_to_blue()}});
  const Fd blue = control_socket("blue");
  const PacketSocket sender("blue", "veth1");
  const PacketSocket receiver("red", "veth0");
  for (std::uint32_t i = 0; i < kAtOnce; ++i) {
    set_up(blue, "veth1", false);
    ASSERT_TRUE(carriers_become({.a = false, .b = false}));
    EXPECT_FALSE(sender.receive(0ms));  // the socket reports once that its device went down
    set_up(blue, "veth1", true);
    ASSERT_TRUE(sender.send(test_frame(100, i)));
    const auto frame = receiver.receive(kSoon);
    ASSERT_TRUE(frame) << i;
    EXPECT_EQ(*frame, test_frame(100, i));
  }
}

TEST_P(TapLinks, CarryWhatARaisedMtuAllowsAtOnce) {
  connect({.pairs = {red_to_blue()}});
  const Fd red = control_socket("red");
  const Fd blue = control_socket("blue");
  const PacketSocket sender("red", "veth0");
  const PacketSocket receiver("blue", "veth1");
  for (std::uint32_t i = 0; i < kAtOnce; ++i) {
    set_mtu(red, "veth0", 9000);
    set_mtu(blue, "veth1", 9000);
    ASSERT_TRUE(sender.send(test_frame(9014, i)));
    const auto frame = receiver.receive(kSoon);
    ASSERT_TRUE(frame) << i;
    EXPECT_EQ(*frame, test_frame(9014, i));
    set_mtu(blue, "veth1", 1500);
  }
}

TEST_P(TapLinks, HaveNoQdiscAgainWhenTheUsersIsDeleted) {
  connect({.pairs = {red_to_blue()}});
  const auto tc = [](const std::string& arguments) {
    const Finished done = run(words("tc qdisc " + arguments), {.netns = "red"});
    ASSERT_EQ(done.exit_code, 0) << arguments << ": " << done.err;
  };
  for (const char* qdisc : {"pfifo", "pfifo_fast"}) {  // one of them a TAP's default, too
    tc("add dev veth0 root " + std::string(qdisc));
    ip("-n red link set veth0 mtu 1400");  // by then vethd has heard of both
    const auto heard = [&] {
      return !on_vethd() || pair_in(show(), "web").at("a").at("mtu").to_number<unsigned>() == 1400;
    };
    EXPECT_TRUE(wait_until(heard, kSoon, "vethctl to show the mtu"));
    EXPECT_EQ(link_of("red", "veth0").qdisc, qdisc);
    EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
    tc("del dev veth0 root");
    const auto no_qdisc = [] { return link_of("red", "veth0").qdisc == "noqueue"; };
    EXPECT_TRUE(wait_until(no_qdisc, kSoon, "noqueue again"));
    ip("-n red link set veth0 mtu 1500");
  }
}

class Upkeep : public OnWires {
 protected:
  void expect_put_back(const std::string& command, const std::string& log) {
    SCOPED_TRACE(command);
    daemon().allow_log(log);
    const Finished done = run(words(command), {.netns = "red"});
    ASSERT_EQ(done.exit_code, 0) << done.err;
    const auto said = [&] { return daemon().process().err().find(log) != std::string::npos; };
    EXPECT_TRUE(wait_until(said, kSoon, "the log to say so"));
  }
};
VETHD_ON_WIRES((std::array{Wire::vethd}), Upkeep);

TEST_P(Upkeep, PutsBackWhatAVethWouldNotLetBeChanged) {
  connect({.pairs = {red_to_blue()}});
  expect_put_back("ip link set veth0 carrier off", "switched the carrier");
  EXPECT_TRUE(carriers_become({true, true}));
  expect_put_back("ip link set veth0 txqueuelen 500000", "set txqueuelen 500000");
  EXPECT_NE(ip("-n red link show veth0").find("qlen 4096"), std::string::npos);
  expect_put_back("ethtool -K veth0 rx-gro-list on", "switched rx-gro-list on");
  const std::string features = run({"ethtool", "-k", "veth0"}, {.netns = "red"}).out;
  EXPECT_NE(features.find("rx-gro-list: off"), std::string::npos) << features;
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
}

TEST_P(TapLinks, GoOnInAnotherNamespace) {
  make_netns("t1");
  connect({.pairs = {red_to_blue()}});
  const FrameSource traffic("red", "veth0", FrameSource::Pace::one_per_millisecond);
  ASSERT_TRUE(frames_keep_coming(PacketSocket("blue", "veth1")));

  ip("-n blue link set veth1 netns t1");
  ASSERT_FALSE(link_of("blue", "veth1").exists);
  EXPECT_TRUE(carriers_become({false, false}));
  ip("-n t1 link set veth1 up");  // moving takes a link down and its addresses away
  ip("-n t1 address add 192.168.1.2/24 dev veth1");
  EXPECT_TRUE(frames_keep_coming(PacketSocket("t1", "veth1")));
  const auto both_up = [] {
    return link_of("red", "veth0").carrier && link_of("t1", "veth1").carrier;
  };
  EXPECT_TRUE(wait_until(both_up, kSoon, "carrier at both ends"));
  const auto no_queue = [] { return link_of("t1", "veth1").qdisc == "noqueue"; };
  EXPECT_TRUE(wait_until(no_queue, kSoon, "noqueue again, which a TAP loses on the way"));
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  const auto sent = tcp_both_ways({"red", "t1", "192.168.1.2"}, 64ULL << 20);
  EXPECT_TRUE(sent) << sent.error().text();
  if (on_vethd()) {
    const auto followed = [] {
      const auto end = pair_in(show(), "web").at("b").as_object();
      return end.at("netns") == "t1" && end.at("ifname") == "veth1";
    };
    EXPECT_TRUE(wait_until(followed, kSoon, "vethctl to show the new namespace"));
  }
}

/// Links that vanish: the pair next to it must not notice.
class Vanishing : public OnWires {
 protected:
  [[nodiscard]] Place end_b() const { return place_of(red_to_blue().b, b_is_xdp()); }

  void connect_two_pairs() {
    const Pair other = {.name = "other",
                        .a = {.netns = "green", .ifname = "o0", .addresses = {"10.0.0.1/24"}},
                        .b = {.netns = "brown", .ifname = "o1", .addresses = {"10.0.0.2/24"}}};
    connect({.pairs = {red_to_blue(), other}});
    ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  }

  void expect_the_other_pair_goes_on() {
    const auto sent =
        udp_in_order({"green", "brown", "10.0.0.2"}, {.rounds = 50, .sizes = {100, 1400}});
    EXPECT_TRUE(sent) << sent.error().text();
    expect_no_drops("other");
  }

  /// Both ends of the pair are gone, as with veth, or what vethd did to a device is, and the daemon
  /// says that one was taken away.
  void expect_the_pair_is_gone() {
    const auto gone = [this] { return a_is_xdp() || !link_of("red", "veth0").exists; };
    EXPECT_TRUE(wait_until(gone, kSoon, "the other end to go too"));
    if (a_is_xdp()) {
      EXPECT_TRUE(is_untouched(red_to_blue().a));
    }
    if (!on_vethd()) return;
    const auto forgotten = [] { return pair_in(show(), "web").empty(); };
    EXPECT_TRUE(wait_until(forgotten, kSoon, "vethctl to show the pair no more"));
    daemon().allow_log("web");
    EXPECT_NE(daemon().process().err().find("web"), std::string::npos) << daemon().process().err();
  }
};
VETHD_ON_WIRES(kEveryWire, Vanishing);

TEST_P(Vanishing, AnEndTakesItsPeerWithItAndNoOther) {
  connect_two_pairs();
  const FrameSource traffic("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  const Place b = end_b();
  ip("-n " + b.netns + " link del " + b.ifname);
  expect_the_pair_is_gone();
  expect_the_other_pair_goes_on();
}

TEST_P(Vanishing, ANamespaceTakesThePairWithItAndNoOther) {
  connect_two_pairs();
  const FrameSource traffic("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  ip("netns del " + end_b().netns);
  expect_the_pair_is_gone();
  expect_the_other_pair_goes_on();
}

class VanishingTaps : public Vanishing {};
VETHD_ON_WIRES(kBothWires, VanishingTaps);

TEST_P(VanishingTaps, ANamespaceAnEndWasMovedToTakesThePairWithItAndNoOther) {
  make_netns("t1");
  connect_two_pairs();
  const FrameSource traffic("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  ip("-n blue link set veth1 netns t1");
  ip("-n t1 link set veth1 up");
  const auto moved = [] { return link_of("t1", "veth1").carrier; };
  ASSERT_TRUE(wait_until(moved, kSoon, "carrier in the new namespace"));
  ip("netns del t1");
  expect_the_pair_is_gone();
  expect_the_other_pair_goes_on();
}

/// The daemon's TAP queues: a pair that is being removed keeps its own to the last.
std::size_t open_taps(pid_t daemon) {
  std::size_t taps = 0;
  const std::string directory = "/proc/" + std::to_string(daemon) + "/fd";
  for (const auto& fd : std::filesystem::directory_iterator(directory)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(fd, gone) == "/dev/net/tun") ++taps;
  }
  return taps;
}

// Where an end is one, a removal takes a second.
class RemovedBefore : public Vanishing {};
VETHD_ON_WIRES((std::array{Wire::tap_xdp_copy}), RemovedBefore);

TEST_P(RemovedBefore, ADeviceInTheSamePlaceIsStillFollowed) {
  connect({.pairs = {red_to_blue(),
                     {.name = "other",
                      .a = {.netns = "green", .ifname = "o0"},
                      .b = {.netns = "brown", .ifname = "o1"}}}});
  const unsigned ifindex = link_of("red", "veth0").ifindex;
  ASSERT_EQ(link_of("green", "o0").ifindex, ifindex);
  ip("-n red link del veth0");
  daemon().allow_log("web");
  ip("-n green link set o0 netns red");
  ASSERT_EQ(link_of("red", "o0").ifindex, ifindex);
  const auto forgotten = [&] { return open_taps(daemon().process().pid()) == 1; };
  ASSERT_TRUE(wait_until(forgotten, kSoon, "the removed pair's TAP to be closed"));
  ip("-n red link set o0 mtu 1400");
  const auto heard = [] {
    return pair_in(show(), "other").at("a").at("mtu").to_number<unsigned>() == 1400;
  };
  EXPECT_TRUE(wait_until(heard, kSoon, "vethctl to show the mtu"));
}

// Where end b is one.
class VanishingNics : public Vanishing {};
VETHD_ON_WIRES((std::array{Wire::tap_xdp_copy, Wire::xdp_copy, Wire::xdp_generic}), VanishingNics);

TEST_P(VanishingNics, OneThatLeavesItsNamespaceTakesThePairWithItAndNoOther) {
  const End moved = {.netns = {}, .ifname = "moved"};
  make_netns(nic_netns(moved));
  connect_two_pairs();
  const FrameSource traffic("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  const Place b = end_b();
  ip("-n " + b.netns + " link set " + b.ifname + " netns " + nic_netns(moved) + " name moved");
  expect_the_pair_is_gone();
  const auto left_alone = [&] {  // but for VLAN stripping, which vethd does not put right elsewhere
    const std::string text = nic_details(moved);
    return text.find("prog/xdp") == text.npos && text.find(" promiscuity 0 ") != text.npos;
  };
  EXPECT_TRUE(wait_until(left_alone, kSoon, "no program and no promiscuity there"));
  expect_the_other_pair_goes_on();
}

}  // namespace
}  // namespace vethd::system_test

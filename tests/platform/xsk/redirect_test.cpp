#include "xdp/redirect.hpp"

#include <bpf/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "daemon/netns/links.hpp"
#include "tests/platform/xsk/support.hpp"
#include "xdp/log.hpp"

namespace vethd::test {
namespace {

constexpr std::uint32_t kEntries = 64;
constexpr QueueId kQueue{0};

struct OnDevice {
  std::uint8_t how = XDP_ATTACHED_NONE;
  std::uint32_t id = 0;
};

OnDevice on_device(const Netns& ns, int ifindex) {
  return must(in_netns(ns, [&]() -> Result<OnDevice> {
    bpf_xdp_query_opts query{};
    query.sz = sizeof query;
    if (::bpf_xdp_query(ifindex, 0, &query) < 0) return fail("ask for the XDP program");
    return OnDevice{.how = query.attach_mode, .id = query.prog_id};
  }));
}

class RedirectTest : public PlatformTest, public ::testing::WithParamInterface<XskMode> {
 protected:
  static void SetUpTestSuite() { route_bpf_log(); }
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    red_ = make_silent_netns("red");
    blue_ = make_silent_netns("blue");
    wire_ = make_wire(red(), "a", blue(), "b");
  }
  Xsk open() {
    return must(Xsk::open(red(),
                          {.ifname = "a",
                           .queue = kQueue,
                           .mode = GetParam(),
                           .rx_ring = kEntries,
                           .tx_ring = kEntries,
                           .fill_ring = kEntries,
                           .completion_ring = kEntries},
                          chunks_.memory(), {}));
  }
  Result<Redirect> attach(const Steering& steering = {}) {
    return Redirect::attach(red(), wire_.a, steering, GetParam(), false);
  }

  [[nodiscard]] const Netns& red() const { return *red_; }
  [[nodiscard]] const Netns& blue() const { return *blue_; }

  std::optional<Netns> red_;
  std::optional<Netns> blue_;
  VethEnds wire_;
  Chunks chunks_{kEntries};
};

INSTANTIATE_TEST_SUITE_P(Veth, RedirectTest, ::testing::Values(XskMode::copy, XskMode::generic),
                         [](const auto& instance) { return name_of(instance.param); });

constexpr MacAddress kOurs{{0x02, 0, 0, 0, 0, 0x07}};
constexpr MacAddress kOthers{{0x02, 0, 0, 0, 0, 0x08}};
constexpr MacAddress kGroup{{0x01, 0x00, 0x5e, 0, 0, 0x01}};
constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr std::uint16_t kVlan = 7;
constexpr std::uint16_t kPriority = 5 << 13;  // of the tag's control information
constexpr Tag kOurTag{.protocol = ETH_P_8021Q, .tci = kVlan};

/// What arrives, and which steering takes it.
struct Arrival {
  const char* name;
  MacAddress mac;
  std::vector<Tag> tags;
  bool all, by_mac, with_groups, by_vlan, by_both, both_with_groups;
};

const std::vector<Arrival> kArrivals = {
    // clang-format off
    //                                                    all   mac   +groups vlan  both  both+groups
    {"ours",            kOurs,      {},                   true, true,  true,  false, false, false},
    {"another's",       kOthers,    {},                   true, false, false, false, false, false},
    {"a group's",       kGroup,     {},                   true, false, true,  false, false, false},
    {"broadcast",       kBroadcast, {},                   true, false, true,  false, false, false},
    {"ours, tagged",    kOurs,      {kOurTag},            true, true,  true,  true,  true,  true},
    {"others', tagged", kOthers,    {kOurTag},            true, false, false, true,  false, false},
    {"group, tagged",   kGroup,     {kOurTag},            true, false, true,  true,  false, true},
    {"with priority",   kOurs,      {{ETH_P_8021Q, kPriority | kVlan}},
                                                          true, true,  true,  true,  true,  true},
    {"802.1ad",         kOurs,      {{ETH_P_8021AD, kVlan}},
                                                          true, true,  true,  true,  true,  true},
    {"outer of two",    kOurs,      {{ETH_P_8021AD, kVlan}, {ETH_P_8021Q, 9}},
                                                          true, true,  true,  true,  true,  true},
    {"inner of two",    kOurs,      {{ETH_P_8021AD, 9}, kOurTag},
                                                          true, true,  true,  false, false, false},
    {"another VLAN's",  kOurs,      {{ETH_P_8021Q, 8}},   true, true,  true,  false, false, false},
    {"priority only",   kOurs,      {{ETH_P_8021Q, kPriority}},
                                                          true, true,  true,  false, false, false},
    // clang-format on
};

TEST_P(RedirectTest, TakesWhatItIsToldAndLeavesTheRestToTheStack) {
  const std::vector<std::pair<Steering, bool Arrival::*>> steerings = {
      {{}, &Arrival::all},
      {{.mac = kOurs}, &Arrival::by_mac},
      {{.mac = kOurs, .multicast = true}, &Arrival::with_groups},
      {{.vlan = kVlan}, &Arrival::by_vlan},
      {{.mac = kOurs, .vlan = kVlan}, &Arrival::by_both},
      {{.mac = kOurs, .vlan = kVlan, .multicast = true}, &Arrival::both_with_groups}};
  Xsk xsk = open();
  fill(xsk, 0, kEntries);
  const PacketSocket stack(red(), wire_.a);
  const PacketSocket peer(blue(), wire_.b);
  std::uint32_t seed = 0;
  for (const auto& [steering, column] : steerings) {
    Redirect redirect = must(attach(steering));
    must(redirect.add(kQueue, xsk.fd()));
    for (const Arrival& arrival : kArrivals) {
      SCOPED_TRACE(std::string(arrival.name) + ", steering " +
                   std::to_string(&steering - &steerings.front().first));
      const Bytes frame = frame_to(arrival.mac, arrival.tags, ++seed);
      peer.send(frame);
      if (arrival.*column) {
        const Received received = receive(xsk, 1).front();
        EXPECT_EQ(chunks_.copy(received.addr, received.len), frame);
        EXPECT_EQ(stack.take(), std::nullopt);
        const std::array back{received.addr};
        fill(xsk, back);
      } else {
        EXPECT_EQ(stack.receive(), frame);
        EXPECT_EQ(xsk.receive(1, [](FrameAddr, std::uint32_t, bool) {}), 0U);
      }
    }
  }
}

TEST_P(RedirectTest, FramesOfAQueueWithoutASocketReachTheStack) {
  Redirect redirect = must(attach());
  const PacketSocket stack(red(), wire_.a);
  const PacketSocket peer(blue(), wire_.b);
  peer.send(frame_of(60, 1));
  EXPECT_EQ(stack.receive(), frame_of(60, 1));
  {
    Xsk xsk = open();
    must(redirect.add(kQueue, xsk.fd()));
    fill(xsk, 0, kEntries);
    peer.send(frame_of(60, 2));
    EXPECT_EQ(receive(xsk, 1).size(), 1U);
  }
  peer.send(frame_of(60, 3));  // the socket has left the map by itself
  EXPECT_EQ(stack.receive(), frame_of(60, 3));
}

TEST_P(RedirectTest, IsAttachedAsTheModeWants) {
  {
    const Redirect redirect = must(attach());
    EXPECT_TRUE(redirect.attached());
    EXPECT_EQ(on_device(red(), wire_.a).how,
              GetParam() == XskMode::generic ? XDP_ATTACHED_SKB : XDP_ATTACHED_DRV);
  }
  EXPECT_EQ(on_device(red(), wire_.a).how, XDP_ATTACHED_NONE);
}

TEST_P(RedirectTest, RefusesADeviceThatHasAProgramAndNamesThat) {
  const Redirect first = must(attach());
  const Result<Redirect> second = attach();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_EQ(second.error().doing, "attach XDP program redirect to red/a");
  EXPECT_EQ(second.error().hint, "it has a program already: redirect (id " +
                                     std::to_string(on_device(red(), wire_.a).id) + ")");
}

TEST_P(RedirectTest, LeavesNothingWhenItsProcessIsKilled) {
  Child child([this] {
    static Xsk xsk = open();
    static Redirect redirect = must(attach());
    must(redirect.add(kQueue, xsk.fd()));
  });
  EXPECT_NE(on_device(red(), wire_.a).how, XDP_ATTACHED_NONE);
  child.kill();
  EXPECT_EQ(on_device(red(), wire_.a).how, XDP_ATTACHED_NONE);
  const PacketSocket stack(red(), wire_.a);
  const PacketSocket peer(blue(), wire_.b);
  peer.send(frame_of(60));
  EXPECT_EQ(stack.receive(), frame_of(60));
  EXPECT_EQ(open().mode(), GetParam()) << "the queue is free again";
}

TEST_P(RedirectTest, KnowsWhenItsDeviceIsGone) {
  const Redirect redirect = must(attach());
  must(must(Links::open(red())).remove(wire_.a));
  EXPECT_FALSE(redirect.attached());
}

TEST_P(RedirectTest, RefusesADescriptorThatIsNoSocketOfItsKind) {
  Redirect redirect = must(attach());
  const Result<void> refused = redirect.add(kQueue, must(red().file()).get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().doing, "steer queue 0 into its socket");
}

// drivers/net/veth.c: veth_xdp_set(). The stack's hook asks for nothing.
TEST_P(RedirectTest, SaysThatAVethsPeerHasATooLargeMtu) {
  must(must(Links::open(blue())).configure(wire_.b, {.mtu = 9000}));
  const Result<Redirect> refused = attach();
  ASSERT_EQ(refused.has_value(), GetParam() == XskMode::generic);
  if (refused) return;
  EXPECT_EQ(refused.error().code, ERANGE);
  EXPECT_NE(refused.error().hint.find("mtu"), std::string::npos) << refused.error().text();
}

// The same.
TEST_P(RedirectTest, SaysThatAVethHasTooFewQueuesForItsPeer) {
  const Netns green = make_silent_netns("green");
  const VethEnds ends = make_wire(green, "c", green, "d", 1500, 2);
  must(in_netns(green, []() -> Result<void> {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_SCHANNELS;
    channels.rx_count = 1;
    channels.tx_count = 1;
    ifreq request{};
    request.ifr_name[0] = 'c';
    request.ifr_data = reinterpret_cast<char*>(&channels);
    if (::ioctl(socket.get(), SIOCETHTOOL, &request) < 0) return fail("set the queues");
    return {};
  }));
  const Result<Redirect> refused = Redirect::attach(green, ends.a, {}, GetParam(), false);
  ASSERT_EQ(refused.has_value(), GetParam() == XskMode::generic);
  if (refused) return;
  EXPECT_EQ(refused.error().code, ENOSPC);
  EXPECT_NE(refused.error().hint.find("queues"), std::string::npos) << refused.error().text();
}

}  // namespace
}  // namespace vethd::test

#include "xdp/hook.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/netns/links.hpp"
#include "drivers/tap/tap.hpp"
#include "drivers/tap/vnet.hpp"
#include "tests/platform/xdp/support.hpp"
#include "xdp/log.hpp"
#include "xdp/new_links.hpp"

namespace vethd::test {
namespace {

constexpr std::size_t kSmallBytes = 60;
constexpr std::size_t kLongestNativeBytes = 3456;  // 4096 - 320 (skb_shared()info) - 64 - 256
constexpr std::uint8_t kGsoTcpv4 = 1;              // VIRTIO_NET_HDR_GSO_TCPV4

class XdpHookTest : public PlatformTest {
 protected:
  static void SetUpTestSuite() { route_bpf_log(); }

  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    netns_ = make_netns("red");
    links_ = must(Links::open(red()));
    tap_ = must(vethd::Tap::create(red(), "vm0", 1));
    ifindex_ = must(links_->find("vm0")).ifindex;
    must(links_->configure(ifindex_, {.up = true}));
    must(tap_->set_carrier(true));
  }

  Result<XdpHook> attach(const std::string& program, const std::string& object = kPrograms) {
    return XdpHook::attach(red(), ifindex_, object, program, XdpAttach::native);
  }

  /// A frame, written as the daemon does: to the stack, with a vnet header in front.
  void write(std::vector<std::byte> frame, const FrameMeta& meta = {}) {
    frame.insert(frame.begin(), tap_->vnet_bytes(), std::byte{});
    encode_vnet(meta, frame.data());
    ASSERT_EQ(::write(tap_->queue(0), frame.data(), frame.size()),
              static_cast<ssize_t>(frame.size()))
        << std::generic_category().message(errno);
  }
  /// A frame of some local experiment, which no stack answers, whose first byte is told.
  static std::vector<std::byte> frame_of(std::size_t bytes, std::uint8_t told = 0) {
    std::vector<std::byte> frame(bytes);
    frame[0] = std::byte{told};
    frame[12] = std::byte{0x88};
    frame[13] = std::byte{0xb5};
    return frame;
  }

  [[nodiscard]] const Netns& red() const { return *netns_; }
  LinkStats stats() { return must(links_->get(ifindex_)).stats; }

  std::optional<Netns> netns_;
  std::optional<Links> links_;
  std::optional<vethd::Tap> tap_;
  int ifindex_ = 0;
};

struct OnDevice {
  std::uint8_t mode = XDP_ATTACHED_NONE;
  std::uint32_t id = 0;
};

OnDevice on_device(const Netns& ns, int ifindex) {
  return must(in_netns(ns, [&]() -> Result<OnDevice> {
    bpf_xdp_query_opts query{};
    query.sz = sizeof query;
    if (::bpf_xdp_query(ifindex, 0, &query) < 0) return fail("ask for the XDP program");
    return OnDevice{.mode = query.attach_mode, .id = query.prog_id};
  }));
}

TEST_F(XdpHookTest, AttachesNativelyAndGoesWithItsObject) {
  {
    const XdpHook hook = must(attach("pass_all"));
    EXPECT_TRUE(hook.attached());
    EXPECT_NE(hook.id(), 0U);
    EXPECT_EQ(on_device(red(), ifindex_).mode, XDP_ATTACHED_DRV);
    EXPECT_EQ(on_device(red(), ifindex_).id, hook.caller_id());
    EXPECT_NE(hook.caller_id(), hook.id());
  }
  EXPECT_EQ(on_device(red(), ifindex_).mode, XDP_ATTACHED_NONE);
}

TEST_F(XdpHookTest, RefusesADeviceThatHasAProgramAndNamesThat) {
  const XdpHook first = must(attach("drop_all"));
  const Result<XdpHook> second = attach("pass_all");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_EQ(second.error().doing, "attach XDP program pass_all to red/vm0");
  EXPECT_EQ(second.error().hint,
            "it has a program already: vethd_call (id " + std::to_string(first.caller_id()) + ")");
  EXPECT_EQ(on_device(red(), ifindex_).id, first.caller_id());
}

TEST_F(XdpHookTest, NamesAProgramThatSomebodyElseAttached) {
  const XdpHook elsewhere = must(attach("tx_all"));
  const Fd program(::bpf_prog_get_fd_by_id(elsewhere.id()));
  const auto other = must(vethd::Tap::create(red(), "vm1", 1));
  const int ifindex = must(links_->find("vm1")).ifindex;
  must(in_netns(red(), [&]() -> Result<void> {  // as `ip link set xdp` does: no link
    if (::bpf_xdp_attach(ifindex, program.get(), 0, nullptr) < 0) return fail("attach");
    return {};
  }));
  const Result<XdpHook> refused =
      XdpHook::attach(red(), ifindex, kPrograms, "pass_all", XdpAttach::native);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().hint.find("tx_all"), std::string::npos) << refused.error().text();
}

TEST_F(XdpHookTest, LeavesNothingWhenItsProcessIsKilled) {
  Child child([this] {
    static const XdpHook hook = must(attach("drop_all"));
    if (!hook.attached()) throw std::runtime_error("not attached");
  });
  EXPECT_EQ(on_device(red(), ifindex_).mode, XDP_ATTACHED_DRV);
  child.kill();
  EXPECT_EQ(on_device(red(), ifindex_).mode, XDP_ATTACHED_NONE);
}

// dev_change_net_namespace() keeps the program, unlike the qdisc; veth's stays, too.
TEST_F(XdpHookTest, MovesWithItsDeviceToAnotherNamespace) {
  const XdpHook hook = must(attach("drop_all"));
  const Netns blue = make_netns("blue");
  move_link(red(), ifindex_, blue);
  Links links = must(Links::open(blue));
  const int ifindex = must(links.find("vm0")).ifindex;
  EXPECT_TRUE(hook.attached());
  EXPECT_EQ(on_device(blue, ifindex).id, hook.caller_id());
  must(links.configure(ifindex, {.up = true}));
  const std::uint64_t before = must(links.get(ifindex)).stats.rx_packets;
  write(frame_of(kSmallBytes));
  EXPECT_EQ(must(links.get(ifindex)).stats.rx_packets, before);
}

TEST_F(XdpHookTest, KnowsWhenItsDeviceIsGone) {
  const XdpHook hook = must(attach("pass_all"));
  must(links_->remove(ifindex_));
  EXPECT_FALSE(hook.attached());
}

TEST_F(XdpHookTest, TellsTheVerifiersComplaintAndNothingOnStderr) {
  ::testing::internal::CaptureStderr();
  const Result<XdpHook> refused = attach("reads_beyond");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EACCES) << refused.error().text();
  EXPECT_NE(refused.error().hint.find("outside of the packet"), std::string::npos)
      << refused.error().text();
}

TEST_F(XdpHookTest, IsRefusedWhereThereIsNoSuchDevice) {
  const Result<XdpHook> refused =
      XdpHook::attach(red(), 4711, kPrograms, "pass_all", XdpAttach::native);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "attach XDP program pass_all to red/#4711: No such device or address");
}

TEST_F(XdpHookTest, PassedFramesReachTheStackAndDroppedOnesDoNot) {
  LinkStats before = stats();
  {
    const XdpHook hook = must(attach("pass_all"));
    write(frame_of(kSmallBytes));
    EXPECT_EQ(stats().rx_packets, before.rx_packets + 1);
  }
  const XdpHook hook = must(attach("drop_all"));
  before = stats();
  write(frame_of(kSmallBytes));
  EXPECT_EQ(stats().rx_packets, before.rx_packets);
}

TEST_F(XdpHookTest, FramesSentBackCanBeReadFromTheTap) {
  XdpHook hook = must(attach("tx_all"));
  hook.peer_runs_xdp(true);
  const std::vector<std::byte> frame = frame_of(kSmallBytes, 0xab);
  write(frame);
  std::array<std::byte, 2048> buffer{};
  for (int tries = 0; tries < 100; ++tries) {  // among what the stack sends by itself
    pollfd readable{.fd = tap_->queue(0), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, 10'000), 1);
    const ssize_t bytes = ::read(tap_->queue(0), buffer.data(), buffer.size());
    if (bytes != static_cast<ssize_t>(tap_->vnet_bytes() + frame.size())) continue;
    if (std::equal(frame.begin(), frame.end(), buffer.begin() + tap_->vnet_bytes())) return;
  }
  FAIL() << "the frame did not come back";
}

// veth_xdp_xmit(): ENXIO.
TEST_F(XdpHookTest, FramesSentBackAreLostWhileTheOtherEndRunsNoProgram) {
  XdpHook hook = must(attach("tx_all"));
  const LinkStats before = stats();
  write(frame_of(kSmallBytes));
  write(frame_of(kLongestNativeBytes + 1));  // generically
  hook.peer_runs_xdp(true);
  write(frame_of(kSmallBytes));
  hook.peer_runs_xdp(false);
  write(frame_of(kSmallBytes));
  EXPECT_EQ(must(hook.counts()).verdicts.tx, 4U);
  EXPECT_EQ(must(hook.counts()).tx_errors, 3U);
  EXPECT_EQ(stats().rx_dropped, before.rx_dropped + 2) << "the TAP's own count leaves out one";
}

// A veth keeps the tag beside the frame, and so does the program's caller, as long as it can.
TEST_F(XdpHookTest, TheOuterTagIsHiddenFromTheProgram) {
  const XdpHook hook = must(attach("drop_tagged"));
  const LinkStats before = stats();
  const auto tagged = [](std::size_t bytes, std::uint8_t inner_high, std::uint8_t inner_low) {
    std::vector<std::byte> frame = frame_of(bytes);
    frame[12] = std::byte{0x81};
    frame[13] = std::byte{0x00};
    frame[16] = std::byte{inner_high};
    frame[17] = std::byte{inner_low};
    return frame;
  };
  write(tagged(kSmallBytes, 0x88, 0xb5));
  write(tagged(kLongestNativeBytes + 1, 0x88, 0xb5));  // generically
  EXPECT_EQ(must(hook.counts()).verdicts.pass, 2U);
  EXPECT_EQ(stats().rx_packets, before.rx_packets + 2);
  // With its tag, which only the stack takes out: four bytes less would not be counted.
  EXPECT_EQ(stats().rx_bytes - before.rx_bytes, kSmallBytes + kLongestNativeBytes + 1);
  write(tagged(kSmallBytes, 0x81, 0x00));
  EXPECT_EQ(must(hook.counts()).verdicts.drop, 1U) << "the inner tag is seen";
}

TEST_F(XdpHookTest, RunsGenericallyWhereThatIsAskedFor) {
  XdpHook hook = must(XdpHook::attach(red(), ifindex_, kPrograms, "drop_all", XdpAttach::generic));
  EXPECT_EQ(on_device(red(), ifindex_).mode, XDP_ATTACHED_SKB);
  const LinkState link = must(links_->get(ifindex_));
  EXPECT_EQ(link.generic_xdp, hook.caller_id());
  EXPECT_EQ(link.native_xdp, 0U);
  write(frame_of(kSmallBytes));
  EXPECT_EQ(must(hook.counts()).verdicts.drop, 1U);
}

TEST_F(XdpHookTest, LinksSayWhichProgramADeviceRuns) {
  EXPECT_EQ(must(links_->get(ifindex_)).native_xdp, 0U);
  const XdpHook hook = must(attach("pass_frags"));
  EXPECT_EQ(must(links_->get(ifindex_)).native_xdp, hook.caller_id());
  EXPECT_EQ(must(links_->find("vm0")).native_xdp, hook.caller_id());
  EXPECT_EQ(must(links_->get(ifindex_)).generic_xdp, 0U);
}

TEST_F(XdpHookTest, NewLinksAreSeenOnce) {
  NewXdpLinks links;
  const auto seen = [&] {
    const std::vector<int> devices = links.devices();
    return std::ranges::find(devices, ifindex_) != devices.end();
  };
  static_cast<void>(links.devices());
  const XdpHook hook = must(attach("pass_all"));
  EXPECT_TRUE(seen());
  EXPECT_FALSE(seen());
}

// Of the drops only the native path's are counted by the TAP (tun_build_skb); that tells the two
// apart. Where they part is architecture's business: a page, struct skb_shared()info, a cache line.
TEST_F(XdpHookTest, RunsGenericallyOnLongAndOnGsoFrames) {
  const XdpHook hook = must(attach("drop_all"));
  const LinkStats start = stats();
  write(frame_of(kSmallBytes));
  write(frame_of(kLongestNativeBytes));
  EXPECT_EQ(stats().rx_dropped, start.rx_dropped + 2) << "native";
  write(frame_of(kLongestNativeBytes + 1));
  write(frame_of(65535));
  EXPECT_EQ(stats().rx_dropped, start.rx_dropped + 2) << "generic";

  FrameMeta gso;
  gso.gso_type = kGsoTcpv4;
  gso.gso_size = 100;
  gso.hdr_len = 54;
  gso.ip_summed = IpSummed::partial;
  gso.csum_start = 34;
  gso.csum_offset = 16;
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{60'000}}) {
    std::vector<std::byte> frame = frame_of(bytes);
    frame[12] = std::byte{0x08};
    frame[13] = std::byte{0x00};
    write(std::move(frame), gso);
  }
  EXPECT_EQ(stats().rx_dropped, start.rx_dropped + 2) << "generic";
  EXPECT_EQ(stats().rx_packets, start.rx_packets) << "and yet dropped, all of them";
}

TEST_F(XdpHookTest, CountsVerdictsByReturnCode) {
  const XdpHook hook = must(attach("as_told"));
  EXPECT_EQ(must(hook.counts()), XdpCounts{});
  constexpr std::uint8_t kNoSuchAction = 200;
  const std::array<std::uint8_t, 11> told = {0, 1, 1, 2, 2, 2, 3, 3, 3, 3, kNoSuchAction};
  for (const std::uint8_t verdict : told) write(frame_of(kSmallBytes, verdict));
  write(frame_of(kLongestNativeBytes + 1, 1));  // generically
  const XdpVerdicts expected{
      .aborted = 1, .drop = 3, .pass = 3, .tx = 4, .redirect = 0, .other = 1};
  EXPECT_EQ(must(hook.counts()).verdicts, expected);
  EXPECT_EQ(must(hook.counts()).verdicts, expected) << "reading takes nothing away";
  write(frame_of(kSmallBytes, 4));  // no map to redirect by: an error, and yet the verdict
  EXPECT_EQ(must(hook.counts()).verdicts.redirect, 1U);
}

TEST_F(XdpHookTest, CountsWhateverTheObjectWasCompiledWith) {
  const XdpHook hook = must(attach("pass_all", kNoBtf));
  write(frame_of(kSmallBytes));
  EXPECT_EQ(must(hook.counts()).verdicts.pass, 1U);
}

TEST_F(XdpHookTest, TheStackSegmentsForATapWithoutSegmentation) {
  EXPECT_TRUE(must(links_->features("vm0")).tso);
  const std::vector<std::string> all = tap_->offloads();
  must(tap_->set_segmentation(false));
  EXPECT_FALSE(must(links_->features("vm0")).tso);
  EXPECT_EQ(tap_->offloads(), std::vector<std::string>{"csum"});
  must(tap_->set_segmentation(true));
  EXPECT_TRUE(must(links_->features("vm0")).tso);
  EXPECT_EQ(tap_->offloads(), all);
}

}  // namespace
}  // namespace vethd::test

// veth_xmit(): which queue a frame goes to, and what becomes of it there, by version.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "daemon/pipeline/veth.hpp"
#include "drivers/memory/random.hpp"
#include "tests/unit/pipeline/packets.hpp"
#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

using test::Spec;

class VethXmitByVersion : public test::Softnet, public testing::WithParamInterface<const Rules*> {
 protected:
  void begin() {
    Softnet::build({}, *GetParam());
    path_.dev = Device{};
    path_.counters = {};
    path_.rq.push_back(std::make_unique<VethRq>(path_, *GetParam(), QueueId{0}, memory_.arena()));
  }
  bool is_one_of(std::initializer_list<const Rules*> rules) {
    return std::ranges::find(rules, GetParam()) != rules.end();
  }
  /// With what the version needs to poll at all.
  void begin_polling() {
    begin();
    path_.dev.tso = false;
    (is_one_of({&kRules54}) ? path_.peer.has_xdp : path_.peer.gro) = true;
  }
  Xmit xmit(const Spec& spec = {}) {
    Frame& frame = memory_.put(test::build(spec));
    const Xmit sent = veth_xmit(path_, frame, memory_.arena().bytes_of(frame), *this);
    if (sent != Xmit::queued) memory_.pool().release(frame);
    return sent;
  }
  std::size_t in_ring() {
    std::size_t frames = 0;
    path_.rq.front()->for_each_in_ring([&](Frame&) { ++frames; });
    return frames;
  }
  void release_delivered() {
    while (Frame* frame = delivered_.pop()) memory_.pool().release(*frame);
  }

  test::Frames memory_;
};

/// A frame and what the two devices have on.
struct Situation {
  bool gro, tso, xdp, forwarding, tcp;
};

TEST_P(VethXmitByVersion, TakesTheRingExactlyWhereTheKernelDoes) {
  for (unsigned bits = 0; bits < 32; ++bits) {
    const Situation now{.gro = (bits & 1) != 0,
                        .tso = (bits & 2) != 0,
                        .xdp = (bits & 4) != 0,
                        .forwarding = (bits & 8) != 0,
                        .tcp = (bits & 16) != 0};
    begin();
    path_.peer.gro = now.gro;
    path_.dev.tso = now.tso;
    path_.peer.has_xdp = now.xdp;
    path_.peer.rx_udp_gro_forwarding = now.forwarding;
    const bool gains = !now.tso || (now.forwarding && !now.tcp);
    const bool expected = is_one_of({&kRules414})  ? false
                          : is_one_of({&kRules54}) ? now.xdp
                                                   : (now.gro || now.xdp) && gains;
    ASSERT_EQ(xmit({.tcp = now.tcp}), Xmit::queued);
    EXPECT_EQ(in_ring(), expected ? 1U : 0U) << "situation " << bits;
    EXPECT_EQ(here().input_pkt_queue().size(), expected ? 0U : 1U) << "situation " << bits;
    while (here().net_rx_pending()) run(here());
    EXPECT_EQ(delivered_.size(), 1U);
    release_delivered();
  }
}

TEST_P(VethXmitByVersion, TakesTheBacklogWhereTheReceiverHasNoSuchQueue) {
  begin_polling();
  Frame& frame = memory_.put(test::build({}));
  frame.meta.queue_mapping = 1;
  EXPECT_EQ(veth_xmit(path_, frame, memory_.arena().bytes_of(frame), *this), Xmit::queued);
  EXPECT_EQ(in_ring(), 0U);
  EXPECT_EQ(path_.counters.netif_rx_frames, 1U);
}

/// 4.14 has no ring.
class VethRing : public VethXmitByVersion {};

TEST_P(VethRing, DropsOnAFullRingUnlessTheVersionStopsAQdisc) {
  for (const bool qdisc : {false, true}) {
    begin_polling();
    path_.dev.has_qdisc = qdisc;
    for (int i = 0; i < 256; ++i) ASSERT_EQ(xmit(), Xmit::queued);
    const bool stops = qdisc && is_one_of({&kRules612, &kRules618});
    EXPECT_EQ(xmit(), stops ? Xmit::busy : Xmit::dropped);
    EXPECT_EQ(path_.counters.drop_ring_full, stops ? 0U : 1U);
    EXPECT_EQ(path_.counters.tx_busy, stops ? 1U : 0U);
    EXPECT_EQ(path_.counters.rx_frames, stops ? 256U : 257U) << "a refused frame has not entered";
    EXPECT_EQ(path_.rq.front()->tx_queue_stopped(), stops);
    EXPECT_TRUE(balanced(path_.counters, {.napi_ring = 256}));

    woken_.clear();
    run(here());
    EXPECT_EQ(woken_.size(), stops ? 1U : 0U);
    EXPECT_EQ(xmit(), Xmit::queued);
    while (here().net_rx_pending()) run(here());
    EXPECT_EQ(woken_.size(), stops ? 1U : 0U);
    release_delivered();
  }
}

TEST_P(VethRing, SchedulesThePollForAFrameThatDidNotGetIn) {
  begin_polling();
  EXPECT_EQ(xmit({.payload = 3000}), Xmit::dropped);
  EXPECT_EQ(path_.counters.drop_not_forwardable, 1U);
  EXPECT_EQ(here().net_rx_pending(), is_one_of({&kRules54, &kRules61}));
  run(here());
  EXPECT_FALSE(path_.rq.front()->is_scheduled());
}

TEST_P(VethRing, CountsOnThePathAFrameTakes) {
  const Spec of_100_bytes{.tcp = false, .payload = 100 - 42};
  begin();
  for (int i = 0; i < 10; ++i) xmit(of_100_bytes);
  EXPECT_EQ(path_.counters.netif_rx_frames, 10U);
  EXPECT_EQ(path_.counters.netif_rx_bytes, 1000U);
  run(here());
  EXPECT_EQ(path_.rq.front()->counters().xdp_packets, 0U);
  release_delivered();

  begin_polling();
  for (int i = 0; i < 10; ++i) xmit(of_100_bytes);
  EXPECT_EQ(path_.counters.netif_rx_frames, 0U);
  EXPECT_EQ(path_.rq.front()->counters().xdp_bytes, 0U) << "not consumed yet";
  run(here());
  EXPECT_EQ(path_.rq.front()->counters().xdp_packets, 10U);
  EXPECT_EQ(path_.rq.front()->counters().xdp_bytes, 860U);
  EXPECT_EQ(path_.counters.rx_bytes, 1000U) << "what was read is a matter of its own";
}

TEST_P(VethXmitByVersion, GivesAFrameItsSendersMetadataAndScrubsIt) {
  for (const bool xnet : {false, true}) {
    begin();
    path_.dev.netns = 1;
    path_.peer.netns = xnet ? 2 : 1;
    path_.dev.mark = 7;
    path_.dev.priority = 3;
    path_.dev.classid = 0x100001;
    ASSERT_EQ(xmit(), Xmit::queued);
    run(here());
    const FrameMeta meta = delivered_.front()->meta;
    const bool clears_mark = xnet || is_one_of({&kRules414, &kRules54});
    const bool orphans = is_one_of({&kRules414});
    EXPECT_EQ(meta.mark, clears_mark ? 0U : 7U);
    EXPECT_EQ(meta.priority, 0U);
    EXPECT_EQ(meta.classid, orphans ? 0U : 0x100001U);
    EXPECT_EQ(path_.counters.mark_cleared, clears_mark ? 1U : 0U);
    EXPECT_EQ(path_.counters.priority_cleared, 1U);
    EXPECT_EQ(path_.counters.classid_cleared, orphans ? 1U : 0U);
    release_delivered();
  }
}

TEST_P(VethXmitByVersion, PollsOnlyWhileTheReceiverIsUp) {
  begin_polling();
  EXPECT_EQ(napi_enabled(*GetParam(), path_.peer), !is_one_of({&kRules414}));
  path_.peer.running = false;
  EXPECT_FALSE(napi_enabled(*GetParam(), path_.peer));
}

std::string name_of(const testing::TestParamInfo<const Rules*>& rules) {
  std::string name(rules.param->kernel);
  name[name.find('.')] = '_';
  return name;
}

TEST_P(VethXmitByVersion, IsUnsureOfWhatIsTooLongWhereTheSenderCanAsk) {
  begin();
  path_.peer.mtu = 300;
  const Spec too_long{.payload = 400};
  path_.can_ask = true;
  EXPECT_EQ(xmit(too_long), Xmit::unsure);
  EXPECT_EQ(path_.counters.rx_frames + path_.counters.drop_not_forwardable, 0U);
  EXPECT_EQ(xmit({.payload = 100}), Xmit::queued);
  path_.peer.mtu = 500;  // old news it was
  EXPECT_EQ(xmit(too_long), Xmit::queued);
  path_.peer.mtu = 300;
  path_.can_ask = false;  // it was not
  EXPECT_EQ(xmit(too_long), Xmit::dropped);
  EXPECT_EQ(path_.counters.drop_not_forwardable, 1U);
  EXPECT_EQ(path_.counters.rx_frames, 3U);
  run(here());
  release_delivered();
}

INSTANTIATE_TEST_SUITE_P(Kernels, VethXmitByVersion, testing::ValuesIn(kAllRules), name_of);
INSTANTIATE_TEST_SUITE_P(Kernels, VethRing,
                         testing::Values(&kRules54, &kRules61, &kRules612, &kRules618), name_of);

// --- veth_xmit_list() -------------------------------------------------------------------------

class VethXmitList : public test::Softnet, public testing::WithParamInterface<const Rules*> {
 protected:
  /// What became of a stream of frames.
  struct Outcome {
    Counters counters;
    SoftnetCounters softnet;
    std::vector<std::pair<std::size_t, FrameMeta>> delivered;  // by number of the frame
    std::vector<std::size_t> dropped;
  };

  void release(Frame& frame) override {
    dropped_.push_back(numbers_.at(&frame));
    frames_.pool().release(frame);
  }

  /// Sends the stream in lists, or the same frames one by one; a softirq after each list.
  Outcome send(std::uint64_t seed, bool as_lists) {
    Random random(seed);
    Sysctls sysctls;
    sysctls.netdev_max_backlog = static_cast<std::int32_t>(random.below(80));
    sysctls.netdev_budget = 1 + static_cast<std::int32_t>(random.below(60));
    sysctls.rps_sock_flow_entries = random.percent(20) ? 16 : 0;
    build(sysctls, *GetParam());
    path_.dev = Device{};
    path_.dev.netns = random.below(2);
    path_.peer.mtu = 300;
    path_.peer.running = !random.percent(5);
    if (random.percent(30)) path_.dev.mark = 5;
    if (random.percent(30)) path_.dev.priority = 6;
    if (random.percent(30)) path_.dev.classid = 7;
    path_.counters = {};
    EXPECT_TRUE(takes_lists(path_));
    numbers_.clear();
    dropped_.clear();
    sent_ = 0;
    Outcome outcome;
    for (int round = 0; round < 10; ++round) {
      FrameList list(Holder::endpoint);
      for (std::uint32_t i = random.below(65); i > 0; --i) list.push(random_frame(random));
      if (as_lists) {
        veth_xmit_list(path_, list, frames_.arena(), *this);
      } else {
        while (Frame* frame = list.pop())
          if (veth_xmit(path_, *frame, frames_.arena().bytes_of(*frame), *this) != Xmit::queued)
            release(*frame);
      }
      EXPECT_TRUE(list.empty());
      if (here().net_rx_pending()) run(here());
      while (Frame* frame = delivered_.pop()) {
        outcome.delivered.emplace_back(numbers_.at(frame), frame->meta);
        frames_.pool().release(*frame);
      }
    }
    outcome.counters = path_.counters;
    outcome.softnet = here().counters();
    std::ranges::sort(dropped_);  // a list is tested as a whole before it is enqueued
    outcome.dropped = dropped_;
    here().purge([](const Frame&) { return true; },
                 [this](Frame& frame) { frames_.pool().release(frame); });
    return outcome;
  }

  test::Frames frames_;

 private:
  /// Of all lengths about the limits, for anybody, described in any way.
  Frame& random_frame(Random& random) {
    test::Packet packet = test::build({.tcp = random.percent(50), .payload = random.below(300)});
    if (random.percent(10)) packet.bytes.resize(random.below(20));
    if (random.percent(10)) packet.bytes.resize(316 + random.below(5));
    if (packet.bytes.size() > 6 && random.percent(30))
      std::fill_n(packet.bytes.begin(), 6, static_cast<std::byte>(random.one_of({0xff, 1, 2})));
    if (random.percent(10)) packet.meta.gso_type = 1;
    if (random.percent(20)) {
      packet.meta.ip_summed = IpSummed::partial;
      packet.meta.csum_start = static_cast<std::uint16_t>(random.below(60));
    }
    if (random.percent(10)) packet.meta.references = static_cast<std::uint8_t>(random.below(128));
    if (random.percent(10)) packet.meta.tstamp = 9;
    if (random.percent(10)) packet.meta.tstamp_type = TstampType::monotonic;
    if (random.percent(10)) packet.meta.skb_iif = 3;
    Frame& frame = frames_.put(packet);
    numbers_[&frame] = sent_++;
    return frame;
  }

  std::map<const Frame*, std::size_t> numbers_;
  std::size_t sent_ = 0;
  std::vector<std::size_t> dropped_;
};

std::vector<std::uint64_t> values_of(const Counters& counters) {
  std::vector<std::uint64_t> values;
  for_each_counter(counters,
                   [&](auto, auto, auto, auto, std::uint64_t value) { values.push_back(value); });
  return values;
}

std::vector<std::uint64_t> values_of(const SoftnetCounters& counters) {
  std::vector<std::uint64_t> values;
  for_each_softnet(counters,
                   [&](auto, auto, auto, std::uint64_t value) { values.push_back(value); });
  return values;
}

TEST_P(VethXmitList, DoesWhatItsFramesDoOneByOne) {
  constexpr std::uint64_t kSeeds = 40;
  Counters met;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const Outcome lists = send(seed, /*as_lists=*/true);
    const Outcome singles = send(seed, /*as_lists=*/false);
    EXPECT_EQ(values_of(lists.counters), values_of(singles.counters));
    EXPECT_EQ(values_of(lists.softnet), values_of(singles.softnet));
    EXPECT_EQ(lists.dropped, singles.dropped);
    EXPECT_TRUE(lists.delivered == singles.delivered);
    met += lists.counters;
    if (HasFailure()) return;
  }
  // The streams have met what they were made to meet.
  for (const std::uint64_t row : {met.drop_length, met.drop_receiver_down, met.drop_not_forwardable,
                                  met.drop_cpu_backlog, met.netif_rx_frames})
    EXPECT_GT(row, 0U);
}

INSTANTIATE_TEST_SUITE_P(Kernels, VethXmitList, testing::ValuesIn(kAllRules), name_of);

}  // namespace
}  // namespace vethd

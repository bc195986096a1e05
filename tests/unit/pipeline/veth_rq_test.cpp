// A receive queue that polls: its ring, the mask protocol between sender and poll, GRO in the poll.
#include "daemon/pipeline/veth_rq.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/pipeline/packets.hpp"
#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

using test::following;
using test::Spec;

class Rq : public test::Softnet {
 protected:
  void begin(const Rules& rules = kRules618, std::uint32_t hz = 250) {
    Softnet::build({}, rules, hz);
    path_.counters = {};
    path_.peer.gro = true;
    path_.rq.push_back(std::make_unique<VethRq>(path_, rules, QueueId{0}, memory_.arena()));
  }
  VethRq& rq() { return *path_.rq.front(); }

  Frame& frame_of(const Spec& spec) { return memory_.put(test::build(spec)); }
  /// As veth_xmit() does.
  bool send(const Spec& spec) {
    const bool taken = rq().put(frame_of(spec));
    kick();
    return taken;
  }
  void send_stream(Spec spec, int frames) {
    for (int i = 0; i < frames; ++i, spec = following(spec)) ASSERT_TRUE(send(spec));
  }
  bool kick() {
    const bool scheduled = rq().kick();
    if (scheduled) here().napi_schedule(rq());
    return scheduled;
  }
  /// Segments of the frames delivered, in order; they are freed.
  std::vector<int> take_delivered() {
    std::vector<int> segments;
    while (Frame* frame = delivered_.pop()) {
      segments.push_back(frame->frags + 1);
      memory_.pool().release(*frame);
    }
    return segments;
  }
  /// A stream's frames with another port, so that they are another flow.
  static Spec flow(std::uint16_t port) { return {.source_port = port}; }
  /// Nothing that GRO would hold.
  static Spec ack() { return {.payload = 0}; }

  void hand_over(Frame& frame, CpuId target) override {
    Softnet::hand_over(frame, target);
    if (while_handing_over) std::exchange(while_handing_over, nullptr)();
  }

  test::Frames memory_;
  std::function<void()> while_handing_over;
};

using Segments = std::vector<int>;

// --- the mask protocol ------------------------------------------------------------------------

TEST_F(Rq, IsScheduledOncePerBurst) {
  begin();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(rq().put(frame_of(ack())));
    EXPECT_EQ(kick(), i == 0);
  }
  EXPECT_EQ(run(here()), 10U);
}

TEST_F(Rq, CompletesBelowItsWeightAndCanBeScheduledAgain) {
  begin();
  for (int i = 0; i < 63; ++i) send(ack());
  EXPECT_EQ(run(here()), 63U);
  EXPECT_FALSE(rq().is_scheduled());
  EXPECT_FALSE(here().net_rx_pending());
  ASSERT_TRUE(rq().put(frame_of(ack())));
  EXPECT_TRUE(kick());
}

TEST_F(Rq, StaysScheduledAndMaskedAfterExactlyItsWeight) {
  begin();
  for (int i = 0; i < 64; ++i) send(ack());
  EXPECT_EQ(run(here()), 64U);
  EXPECT_TRUE(rq().is_scheduled());
  EXPECT_TRUE(here().net_rx_pending());
  ASSERT_TRUE(rq().put(frame_of(ack())));
  EXPECT_FALSE(kick()) << "the next poll comes anyway";
  EXPECT_EQ(run(here()), 1U);
  EXPECT_FALSE(rq().is_scheduled());
}

TEST_F(Rq, PollsAgainWhenAFrameCameAfterTheLastLookIntoTheRing) {
  begin();
  path_.peer.rps_cpus = {{kThere}};
  send(flow(1000));  // GRO holds it until the poll completes
  while_handing_over = [this] {
    ASSERT_TRUE(rq().put(frame_of(ack())));
    EXPECT_FALSE(kick()) << "the poll has not completed yet";
  };
  run(here());
  EXPECT_EQ(on_their_way_.size(), 2U) << "one run is enough: the list was refilled";
  EXPECT_FALSE(rq().is_scheduled());
}

TEST_F(Rq, DoesNotScheduleItselfForAnEmptyRing) {
  begin();
  send(ack());
  run(here());
  EXPECT_FALSE(here().net_rx_pending());
  EXPECT_EQ(here().counters().softirqs, 1U);
}

TEST_F(Rq, WakesTheStoppedQueueOncePerPollWhetherItCompletesOrNot) {
  begin();
  for (int i = 0; i < 100; ++i) send(ack());
  rq().stop_tx_queue();
  EXPECT_TRUE(rq().tx_queue_stopped());
  run(here());
  EXPECT_EQ(woken_, std::vector<QueueId>{QueueId{0}});
  EXPECT_FALSE(rq().tx_queue_stopped());
  run(here());
  EXPECT_EQ(woken_.size(), 1U) << "it was not stopped again";
  send(ack());
  rq().stop_tx_queue();
  run(here());
  EXPECT_EQ(woken_.size(), 2U);
}

TEST_F(Rq, IsAsNewAfterItWasDisabled) {
  begin();
  send_stream(flow(1000), 3);
  rq().stop_tx_queue();
  int purged = 0;
  rq().purge([&](Frame& frame) {
    ++purged;
    memory_.pool().release(frame);
  });
  here().napi_forget(rq());
  EXPECT_EQ(purged, 3);
  EXPECT_TRUE(rq().disable()) << "the sender's queue was stopped";
  EXPECT_FALSE(rq().disable());
  send(ack());
  EXPECT_EQ(run(here()), 1U);
}

TEST_F(Rq, PurgesWhatGroHoldsWithItsChain) {
  begin(kRules618, 1000);
  for (const std::uint16_t port : {std::uint16_t{1000}, std::uint16_t{2000}})
    send_stream(flow(port), 32);
  run(here());
  ASSERT_EQ(delivered_.size(), 0U) << "a whole weight within a jiffy";
  const std::size_t free_before = memory_.pool().free_frames();
  int purged = 0;
  rq().purge([&](Frame& frame) {
    ++purged;
    memory_.pool().release(frame);
  });
  EXPECT_EQ(purged, 2);
  EXPECT_EQ(memory_.pool().free_frames(), free_before + 64);
}

// --- what is counted --------------------------------------------------------------------------

TEST_F(Rq, CountsFramesOfTheRingWithoutTheirEthernetHeaders) {
  begin();
  const Spec udp{.tcp = false, .payload = 100 - 42};
  for (int i = 0; i < 10; ++i) send(udp);
  run(here());
  EXPECT_EQ(rq().counters().xdp_packets, 10U);
  EXPECT_EQ(rq().counters().xdp_bytes, 860U);
  EXPECT_EQ(here().counters().processed, 10U);
}

TEST_F(Rq, SendsFramesToTheBacklogThatRpsChoosesAndDropsWhatThatRefuses) {
  Softnet::build({.netdev_max_backlog = 4});
  path_.rq.push_back(std::make_unique<VethRq>(path_, kRules618, QueueId{0}, memory_.arena()));
  path_.peer.rps_cpus = {{kThere}};
  for (int i = 0; i < 10; ++i) send(ack());
  run(here());
  EXPECT_EQ(on_their_way_.size(), 5U);
  EXPECT_EQ(released_.size(), 5U);
  EXPECT_EQ(path_.counters.drop_napi_backlog, 5U);
  EXPECT_EQ(there().counters().dropped, 5U);
  EXPECT_EQ(here().counters().processed, 0U) << "not in the receive core yet";
  EXPECT_EQ(ipis_, std::vector<CpuId>{kThere});
}

TEST_F(Rq, NeedsAnotherSoftirqForItsOwnCpusBacklogUpTo61) {
  for (const Rules* rules : {&kRules61, &kRules612, &kRules618}) {
    begin(*rules);
    path_.peer.rps_cpus = {{kHere}};
    for (int i = 0; i < 10; ++i) send(ack());
    here().do_softirq(context_);
    EXPECT_EQ(take_delivered().size(), 10U);
    EXPECT_EQ(here().counters().softirqs, rules == &kRules61 ? 2U : 1U) << rules->kernel;
    EXPECT_EQ(here().counters().processed, 10U) << "each once";
  }
}

// --- GRO in the poll --------------------------------------------------------------------------

TEST_F(Rq, MergesWhatIsPolledTogetherAndLetsGoOfAllWhenThePollCompletes) {
  begin();
  send_stream(flow(1000), 10);
  send_stream(flow(2000), 5);
  run(here());
  EXPECT_EQ(take_delivered(), (Segments{10, 5})) << "the older first";
  EXPECT_EQ(path_.counters.merged_frames, 13U);
  EXPECT_EQ(rq().counters().xdp_packets, 15U);
  EXPECT_EQ(here().counters().processed, 2U);
}

TEST_F(Rq, MergesOnlyWithGroAndNeverBeforeAnXdpProgram) {
  for (const auto& [gro, xdp] : {std::pair{false, true}, {true, true}}) {
    begin();
    path_.peer.gro = gro;
    path_.peer.has_xdp = xdp;
    send_stream(flow(1000), 10);
    run(here());
    EXPECT_EQ(take_delivered(), Segments(10, 1));
  }
}

TEST_F(Rq, MergesDatagramsOnlyWithUdpForwarding) {
  for (const bool forwarding : {false, true}) {
    begin();
    path_.peer.rx_udp_gro_forwarding = forwarding;
    send_stream({.tcp = false}, 10);
    run(here());
    EXPECT_EQ(take_delivered(), forwarding ? Segments{10} : Segments(10, 1));
  }
}

TEST_F(Rq, KeepsTheOrderOfAFlowAroundAFrameThatCannotJoin) {
  begin();
  Spec spec = flow(1000);
  for (int i = 0; i < 3; ++i, spec = following(spec)) send(spec);
  spec.flags = test::kAck | test::kRst;  // ends what is held, and goes behind it
  send(spec);
  run(here());
  EXPECT_EQ(take_delivered(), (Segments{3, 1}));
}

TEST_F(Rq, LetsGoOfEverythingAfterAWholeWeightBelow1000Hz) {
  for (const std::uint32_t hz : {100U, 250U}) {
    begin(kRules618, hz);
    send_stream(flow(1000), 40);
    send_stream(flow(2000), 24);
    run(here());
    EXPECT_EQ(take_delivered(), (Segments{40, 24}));
    run(here());
  }
}

TEST_F(Rq, KeepsYoungFramesOverAWholeWeightAt1000Hz) {
  begin(kRules618, 1000);
  send_stream(flow(1000), 32);
  send_stream(flow(2000), 32);
  run(here());
  EXPECT_EQ(take_delivered(), Segments{});
  Spec more = flow(1000);
  for (int i = 0; i < 32; ++i) more = following(more);
  send_stream(more, 5);
  run(here());
  EXPECT_EQ(take_delivered(), (Segments{37, 32})) << "until a poll completes";
}

TEST_F(Rq, LetsGoOfOldFramesAfterAWholeWeightAt1000Hz) {
  begin(kRules618, 1000);
  send_stream(flow(1000), 32);
  send_stream(flow(2000), 32);
  run(here());
  clock_.pass(std::chrono::milliseconds(1));
  send_stream(flow(3000), 32);
  send_stream(flow(4000), 32);
  run(here());
  EXPECT_EQ(take_delivered(), (Segments{32, 32})) << "of the jiffy before";
  run(here());
  EXPECT_EQ(take_delivered(), (Segments{32, 32}));
}

}  // namespace
}  // namespace vethd

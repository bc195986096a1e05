// The backlog of an emulated CPU and the softirq that polls it, without any worker.
#include <gtest/gtest.h>

#include <vector>

#include "daemon/pipeline/softnet.hpp"
#include "daemon/pipeline/veth.hpp"
#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

using std::chrono::milliseconds;

using test::Softnet;

// --- enqueue_to_backlog() ---------------------------------------------------------------------

TEST_F(Softnet, HoldsOneFrameMoreThanMaxLikeTheKernel) {
  for (const int max : {0, 1, 10, 1000}) {
    build({.netdev_max_backlog = max});
    EXPECT_EQ(fill(max + 5), max + 1);
    EXPECT_EQ(enqueue(), SoftnetData::Enqueue::cpu_backlog);
    EXPECT_EQ(here().counters().dropped, 5U);
    EXPECT_EQ(here().counters().input_qlen, static_cast<std::uint64_t>(max) + 1);
    EXPECT_EQ(here().input_pkt_queue().size(), static_cast<std::size_t>(max) + 1);
  }
}

TEST_F(Softnet, CountsFramesOnTheirWayAgainstTheTargetsLimit) {
  build({.netdev_max_backlog = 10});
  EXPECT_EQ(fill(20, kThere), 11);
  EXPECT_EQ(there().counters().dropped, 9U);
  EXPECT_EQ(here().counters().dropped, 0U);
  EXPECT_EQ(on_their_way_.size(), 11U);
}

TEST_F(Softnet, LimitsEachTargetCpuForItself) {
  build({.netdev_max_backlog = 10});
  EXPECT_EQ(fill(20, kThere), 11);
  EXPECT_EQ(fill(20, kHere), 11);
}

TEST_F(Softnet, DropsTheNewestAndKeepsTheOrderOfTheRest) {
  build({.netdev_max_backlog = 3});
  fill(6);
  EXPECT_EQ(run(here()), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(delivered_.pop(), frames_[i].get());
}

TEST_F(Softnet, RefusesForAReceiverThatIsNotRunningAndBlamesTheBacklogUpTo61) {
  for (const Rules* rules : kAllRules) {
    SCOPED_TRACE(rules->kernel);
    const bool blames = rules == &kRules414 || rules == &kRules54 || rules == &kRules61;
    build({}, *rules);
    up_.running = false;
    EXPECT_EQ(enqueue(kThere), SoftnetData::Enqueue::dev_ready);
    EXPECT_EQ(there().counters().dropped, blames ? 1U : 0U);
    EXPECT_EQ(here().counters().dropped, 0U) << "the target is blamed";
    EXPECT_EQ(there().counters().input_qlen, 0U);
    EXPECT_FALSE(here().net_rx_pending());
  }
}

TEST_F(Softnet, LooksAtTheLimitBeforeTheReceiverIn612Only) {
  for (const Rules* rules : kAllRules) {
    SCOPED_TRACE(rules->kernel);
    build({.netdev_max_backlog = 3}, *rules);
    fill(4);
    up_.running = false;
    const bool limit_first = rules == &kRules612;
    EXPECT_EQ(enqueue(),
              limit_first ? SoftnetData::Enqueue::cpu_backlog : SoftnetData::Enqueue::dev_ready);
    const bool blames = limit_first || rules->not_running == Rules::NotRunning::as_backlog_drop;
    EXPECT_EQ(here().counters().dropped, blames ? 1U : 0U);
    EXPECT_EQ(here().counters().input_qlen, 4U);
  }
}

TEST_F(Softnet, GivesThePlaceBackThatANotRunningReceiverHadTaken) {
  build({.netdev_max_backlog = 3}, kRules612);
  up_.running = false;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(enqueue(), SoftnetData::Enqueue::dev_ready);
  up_.running = true;
  EXPECT_EQ(fill(10), 4);
}

TEST_F(Softnet, DeliversWhatWaitsForAReceiverThatHasGoneDown) {
  build({});
  fill(3);
  up_.running = false;
  EXPECT_EQ(run(here()), 3U);
}

// --- process_backlog() ------------------------------------------------------------------------

TEST_F(Softnet, GivesTheWholeLimitAgainAfterASplice) {
  build({.netdev_max_backlog = 99, .dev_weight = 10});
  EXPECT_EQ(fill(200), 100);
  EXPECT_EQ(run(here()), 10U);
  EXPECT_EQ(here().counters().process_qlen, 90U);
  EXPECT_EQ(here().counters().input_qlen, 0U);
  EXPECT_EQ(fill(200), 100) << "the claimed frames do not count";
}

TEST_F(Softnet, KeepsThePollScheduledWhenTheQuotaIsReachedExactly) {
  build({.dev_weight = 64});
  fill(64);
  EXPECT_EQ(run(here()), 64U);
  EXPECT_TRUE(here().net_rx_pending()) << "one more call, which finds nothing";
  EXPECT_EQ(run(here()), 0U);
  EXPECT_FALSE(here().net_rx_pending());
}

TEST_F(Softnet, CompletesThePollBelowTheQuotaAndSchedulesTheNextArrival) {
  build({});
  fill(63);
  EXPECT_EQ(run(here()), 63U);
  EXPECT_FALSE(here().net_rx_pending());
  fill(1);
  EXPECT_TRUE(here().net_rx_pending());
  EXPECT_EQ(run(here()), 1U);
}

TEST_F(Softnet, DeliversOneWeightPerRunInOrderAcrossSplices) {
  build({.netdev_max_backlog = 1000, .dev_weight = 64});
  fill(100);
  EXPECT_EQ(run(here()), 64U);
  fill(50);
  EXPECT_EQ(run(here()), 64U);
  EXPECT_EQ(run(here()), 22U);
  EXPECT_EQ(here().counters().processed, 150U);
  for (const auto& frame : frames_) EXPECT_EQ(delivered_.pop(), frame.get());
}

TEST_F(Softnet, TakesANewDevWeightAtTheNextCallOnly) {
  build({.dev_weight = 64});
  fill(100);
  here().set({.dev_weight = 8}, nullptr);
  EXPECT_EQ(run(here()), 64U);
  EXPECT_EQ(run(here()), 8U);
}

TEST_F(Softnet, MultipliesDevWeightByTheReceiveBias) {
  build({.dev_weight = 8, .dev_weight_rx_bias = 3});
  fill(100);
  EXPECT_EQ(run(here()), 24U);
}

TEST_F(Softnet, DeliversOneFramePerPollUnderAWeightBelowOne) {
  for (const int weight : {0, -1, -64}) {
    build({.dev_weight = weight}, kRules61);
    fill(3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(run(here()), 1U);
    EXPECT_EQ(run(here()), 0U);
    EXPECT_FALSE(here().net_rx_pending()) << "the poll has completed";
    fill(1);
    EXPECT_EQ(run(here()), 1U) << "and is scheduled again";
  }
}

// --- net_rx_action() --------------------------------------------------------------------------

TEST_F(Softnet, CountsNoTimeSqueezeForABusyBacklogWithinBudgetAndTime) {
  build({});
  fill(1000);
  while (here().net_rx_pending()) run(here());
  EXPECT_EQ(here().counters().time_squeeze, 0U);
}

TEST_F(Softnet, CountsTimeSqueezeWhenOnePollUsesTheWholeBudget) {
  build({.netdev_budget = 64, .dev_weight = 64});
  fill(64 + 63);
  EXPECT_EQ(run(here()), 64U);
  EXPECT_EQ(here().counters().time_squeeze, 1U);
  EXPECT_EQ(run(here()), 63U);
  EXPECT_EQ(here().counters().time_squeeze, 1U);
}

TEST_F(Softnet, DoesNotClipThePollToTheBudget) {
  build({.netdev_budget = 1, .dev_weight = 64});
  fill(64);
  EXPECT_EQ(run(here()), 64U);
  EXPECT_EQ(here().counters().time_squeeze, 1U);
}

TEST_F(Softnet, CountsTimeSqueezeWhenAPollOverrunsTheTimeLimit) {
  build({.netdev_budget_usecs = std::chrono::milliseconds(8)});
  clock_.step = milliseconds(4);  // one jiffy of two
  fill(1);
  run(here());
  EXPECT_EQ(here().counters().time_squeeze, 0U);
  clock_.step = milliseconds(8);
  fill(1);
  run(here());
  EXPECT_EQ(here().counters().time_squeeze, 1U);
}

TEST_F(Softnet, CountsNoTimeSqueezeWhenThereWasNothingToPoll) {
  build({});
  clock_.step = milliseconds(100);
  fill(1, kThere);
  run(here());
  EXPECT_EQ(here().counters().time_squeeze, 0U);
}

// --- wake-ups ---------------------------------------------------------------------------------

TEST_F(Softnet, SendsOneWakeUpForManyFramesWhenTheListIsFlushed) {
  build({});
  fill(10, kThere);
  EXPECT_TRUE(ipis_.empty());
  EXPECT_TRUE(here().net_rx_pending());
  run(here());
  EXPECT_EQ(ipis_, std::vector<CpuId>{kThere});
  EXPECT_FALSE(here().net_rx_pending());
}

TEST_F(Softnet, CountsWakeUpsAndNotFramesAsReceivedRps) {
  build({});
  for (int i = 0; i < 3; ++i) {
    fill(10, kThere);
    run(here());
    arrive_there();
    there().rps_trigger_softirq();
    EXPECT_EQ(run(there()), 10U);
  }
  EXPECT_EQ(there().counters().received_rps, 3U);
  EXPECT_EQ(there().counters().processed, 30U);
  EXPECT_EQ(here().counters().received_rps, 0U);
}

TEST_F(Softnet, SendsNoWakeUpToACpuThatStillPolls) {
  build({});
  fill(1, kThere);
  run(here());
  arrive_there();
  there().rps_trigger_softirq();
  fill(1, kThere);
  run(here());
  EXPECT_EQ(ipis_.size(), 1U);
  arrive_there();
  EXPECT_EQ(run(there()), 2U);
  fill(1, kThere);
  run(here());
  EXPECT_EQ(ipis_.size(), 2U);
}

TEST_F(Softnet, FlushesWakeUpsBeforeItPolls) {
  build({});
  fill(1, kThere);
  fill(64);
  run(here());
  EXPECT_EQ(ipis_.size(), 1U);
}

TEST_F(Softnet, PollsWhatArrivesBeforeTheWakeUpWithoutWaitingForIt) {
  build({});
  fill(5, kThere);
  arrive_there();
  EXPECT_TRUE(there().net_rx_pending());
  run(here());
  EXPECT_TRUE(ipis_.empty()) << "it polls already";
  EXPECT_EQ(run(there()), 5U);
}

// --- purge() ----------------------------------------------------------------------------------

TEST_F(Softnet, PurgesOnePathFromBothQueuesAndFreesItsPlaces) {
  build({.netdev_max_backlog = 9, .dev_weight = 1});
  for (std::uint32_t i = 0; i < 4; ++i) {
    Frame& frame = new_frame();
    frame.path = {i % 2};
    here().enqueue_to_backlog(frame, kNoBytes, up_, kHere, nullptr, *this);
  }
  run(here());  // one delivered, three claimed
  for (std::uint32_t i = 0; i < 4; ++i) {
    Frame& frame = new_frame();
    frame.path = {i % 2};
    here().enqueue_to_backlog(frame, kNoBytes, up_, kHere, nullptr, *this);
  }
  int purged = 0;
  here().purge([](const Frame& frame) { return frame.path == PathId{1}; },
               [&](Frame&) { ++purged; });
  EXPECT_EQ(purged, 4);
  EXPECT_EQ(here().counters().input_qlen, 2U);
  EXPECT_EQ(here().counters().process_qlen, 1U);
}

// --- veth_xmit() ------------------------------------------------------------------------------

class VethXmit : public Softnet {
 protected:
  Xmit xmit(std::uint32_t len) {
    const std::vector<std::byte> bytes(len);
    return veth_xmit(path_, new_frame(len), bytes.data(), *this);
  }
};

TEST_F(VethXmit, CountsEachFrameOnceWithItsHeader) {
  build({});
  EXPECT_EQ(xmit(100), Xmit::queued);
  EXPECT_EQ(path_.counters.rx_frames, 1U);
  EXPECT_EQ(path_.counters.rx_bytes, 100U);
  EXPECT_TRUE(balanced(path_.counters, {.input_pkt_queue = 1}));
}

TEST_F(VethXmit, DropsWhatIsShorterThanAnEthernetHeader) {
  build({});
  EXPECT_EQ(xmit(13), Xmit::dropped);
  EXPECT_EQ(xmit(14), Xmit::queued);
  EXPECT_EQ(path_.counters.drop_length, 1U);
}

TEST_F(VethXmit, DropsWhatTheReceiverCannotTake) {
  build({});
  EXPECT_EQ(xmit(1518), Xmit::queued);
  EXPECT_EQ(xmit(1519), Xmit::dropped);
  EXPECT_EQ(path_.counters.drop_not_forwardable, 1U);
}

TEST_F(VethXmit, DropsWhenTheReceiverIsDownWhateverTheLength) {
  build({});
  path_.peer.running = false;
  EXPECT_EQ(xmit(60), Xmit::dropped);
  EXPECT_EQ(xmit(1519), Xmit::dropped);
  EXPECT_EQ(path_.counters.drop_receiver_down, 2U);
  EXPECT_EQ(path_.counters.drop_not_forwardable, 0U);
}

TEST_F(VethXmit, DropsWhatTheBacklogRefuses) {
  build({.netdev_max_backlog = 0});
  EXPECT_EQ(xmit(60), Xmit::queued);
  EXPECT_EQ(xmit(60), Xmit::dropped);
  EXPECT_EQ(path_.counters.drop_cpu_backlog, 1U);
}

TEST_F(VethXmit, HandsOverToTheCpuOfTheReceiversMap) {
  build({});
  path_.peer.rps_cpus = {{kThere}};
  EXPECT_EQ(xmit(60), Xmit::queued);
  EXPECT_EQ(on_their_way_.size(), 1U);
}

}  // namespace
}  // namespace vethd

// The backlog of an emulated CPU and the softirq that polls it, without any worker.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "daemon/pipeline/softnet.hpp"
#include "daemon/pipeline/veth.hpp"

namespace vethd {
namespace {

using std::chrono::milliseconds;

/// Stands still, and takes a step each time it is read.
class TestClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    const Instant read = now_;
    now_ += step;
    return read;
  }
  milliseconds step{0};

 private:
  mutable Instant now_{std::chrono::seconds(1)};
};

/// A machine of two CPUs seen from CPU 0. Frames for CPU 1 wait in `on_their_way`.
class Softnet : public testing::Test, protected Outside {
 protected:
  static constexpr CpuId kHere{0};
  static constexpr CpuId kThere{1};
  static constexpr const std::byte* kNoBytes = nullptr;

  void build(const Sysctls& sysctls) { build(sysctls, kRules618); }
  void build(const Sysctls& sysctls, const Rules& rules) {
    machine_ = std::make_unique<Machine>(
        MachineSetup{.rules = rules, .sysctls = sysctls, .hash_key = {1, 2}, .cpus = 2});
    up_.running = true;
    path_.peer = up_;
    path_.softnet = &here();
  }
  SoftnetData& here() { return *machine_->softnet_data[0]; }
  SoftnetData& there() { return *machine_->softnet_data[1]; }

  Frame& new_frame(std::uint32_t len = 60) {
    frames_.push_back(std::make_unique<Frame>());
    frames_.back()->holder = Holder::in_hand;
    frames_.back()->len = len;
    return *frames_.back();
  }
  SoftnetData::Enqueue enqueue(CpuId target = kHere) {
    return here().enqueue_to_backlog(new_frame(), kNoBytes, up_, target, nullptr, *this);
  }
  /// Enqueues; how many were accepted.
  int fill(int frames, CpuId target = kHere) {
    int accepted = 0;
    for (int i = 0; i < frames; ++i)
      if (enqueue(target) == SoftnetData::Enqueue::queued) ++accepted;
    return accepted;
  }
  /// One run of the softirq; how many frames it delivered.
  std::size_t run(SoftnetData& sd) {
    const std::size_t before = delivered_.size();
    sd.net_rx_action(sd.jiffies(clock_.now()), context_);
    return delivered_.size() - before;
  }
  void arrive_there() {
    while (Frame* frame = on_their_way_.pop()) there().enqueue_remote(*frame);
  }

  void hand_over(Frame& frame, CpuId target) override {
    EXPECT_EQ(target, kThere);
    on_their_way_.push(frame);
  }
  void send_ipi(CpuId target) override { ipis_.push_back(target); }
  void wake_queue(PathId /*path*/, QueueId /*queue*/) override {
    ADD_FAILURE() << "none is stopped";
  }
  void release(Frame& /*frame*/) override { ADD_FAILURE() << "nothing is dropped after a poll"; }

  std::unique_ptr<Machine> machine_;
  Device up_;
  Path path_;
  TestClock clock_;
  std::vector<std::unique_ptr<Frame>> frames_;
  FrameList delivered_{Holder::transmit};
  FrameList on_their_way_{Holder::handover};
  std::vector<CpuId> ipis_;
  RxContext context_{.clock = clock_, .outside = *this, .delivered = delivered_};
};

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

TEST_F(Softnet, RefusesForAReceiverThatIsNotRunningAndDoesNotBlameTheBacklog) {
  build({});
  up_.running = false;
  EXPECT_EQ(enqueue(), SoftnetData::Enqueue::dev_ready);
  EXPECT_EQ(here().counters().dropped, 0U);
  EXPECT_EQ(here().counters().input_qlen, 0U);
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
  path_.peer.rps_cpus = {kThere};
  EXPECT_EQ(xmit(60), Xmit::queued);
  EXPECT_EQ(on_their_way_.size(), 1U);
}

}  // namespace
}  // namespace vethd

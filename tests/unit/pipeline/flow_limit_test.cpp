// A long backlog is shared fairly, as far as the enqueuing CPU looks after it.
#include "daemon/pipeline/flow_limit.hpp"

#include <gtest/gtest.h>

#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

constexpr bool kLowBits = false;
constexpr bool kSpread = true;

TEST(FlowLimit, RefusesAFlowsFrameFromThe65thOn) {
  FlowLimit limit(4096);
  for (int i = 1; i <= 64; ++i) EXPECT_FALSE(limit.exceeded(5, kLowBits)) << i;
  for (int i = 65; i <= 200; ++i) EXPECT_TRUE(limit.exceeded(5, kLowBits)) << i;
  EXPECT_EQ(limit.count(), 136U);
}

TEST(FlowLimit, LetsAFlowInAgainOnceItsShareOfTheLast128HasFallen) {
  FlowLimit limit(4096);
  for (int i = 0; i < 65; ++i) limit.exceeded(5, kLowBits);
  // Others pass, each its own flow. The refused frame stays in the history.
  for (std::uint32_t i = 0; i < 63; ++i) EXPECT_FALSE(limit.exceeded(100 + i, kLowBits));
  // The history is full: each frame of the flow takes the place of one.
  EXPECT_TRUE(limit.exceeded(5, kLowBits));
  EXPECT_FALSE(limit.exceeded(300, kLowBits));
  EXPECT_FALSE(limit.exceeded(5, kLowBits)) << "64 of the last 128";
}

TEST(FlowLimit, RefusesTwoFlowsThatShareABucketTogether) {
  FlowLimit limit(8);
  for (std::uint32_t i = 0; i < 64; ++i) EXPECT_FALSE(limit.exceeded(5 + 8 * i, kLowBits));
  EXPECT_TRUE(limit.exceeded(13, kLowBits));
  EXPECT_FALSE(limit.exceeded(6, kLowBits));
}

// The history begins as 128 entries of bucket 0, each of which gives one back there.
TEST(FlowLimit, NeverRefusesAFlowInBucket0ThatIsAlone) {
  FlowLimit limit(4096);
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(limit.exceeded(4096, kLowBits)) << i;
}

TEST(FlowLimit, SlotsAreTheLowBitsOrSpreadByHash32) {
  EXPECT_EQ(flow_slot(0x12345678, 4096, kLowBits), 0x678U);
  EXPECT_EQ(flow_slot(1, 4096, kSpread), 0x61C88647U >> 20);
  EXPECT_EQ(flow_slot(3, 2, kSpread), (3 * 0x61C88647U) >> 31);
  for (const bool spread : {kLowBits, kSpread}) EXPECT_EQ(flow_slot(0xffffffff, 1, spread), 0U);
}

// --- skb_flow_limit() -------------------------------------------------------------------------

class SkbFlowLimit : public test::Softnet {
 protected:
  SoftnetData::Enqueue enqueue_of(std::uint32_t flow, SoftnetData& from, CpuId target) {
    Frame& frame = new_frame();
    frame.meta.hash = flow;
    return from.enqueue_to_backlog(frame, kNoBytes, up_, target, nullptr, *this);
  }
  int accepted_of(std::uint32_t flow, int frames, SoftnetData& from, CpuId target) {
    int accepted = 0;
    for (int i = 0; i < frames; ++i)
      if (enqueue_of(flow, from, target) == SoftnetData::Enqueue::queued) ++accepted;
    return accepted;
  }
  static constexpr std::uint32_t kFlow = 5;
};

TEST_F(SkbFlowLimit, IsOffByDefault) {
  build({.netdev_max_backlog = 1000});
  EXPECT_EQ(accepted_of(kFlow, 2000, here(), kHere), 1001);
  EXPECT_EQ(here().counters().flow_limit_count, 0U);
}

TEST_F(SkbFlowLimit, LooksAtFramesFromHalfOfTheQueueOn) {
  for (const Rules* rules : kAllRules) {
    build({.netdev_max_backlog = 1000, .flow_limit_cpu_bitmap = {kHere}}, *rules);
    EXPECT_EQ(accepted_of(kFlow, 564, here(), kHere), 564) << "500 unseen and 64";
    EXPECT_EQ(enqueue_of(kFlow, here(), kHere), SoftnetData::Enqueue::flow_limit);
    EXPECT_EQ(here().counters().flow_limit_count, 1U);
    EXPECT_EQ(here().counters().dropped, 1U);
    EXPECT_EQ(here().counters().input_qlen, 564U);
  }
}

TEST_F(SkbFlowLimit, LetsOtherFlowsUseWhatIsLeft) {
  build({.netdev_max_backlog = 1000, .flow_limit_cpu_bitmap = {kHere}});
  accepted_of(kFlow, 1000, here(), kHere);
  int accepted = 0;
  for (std::uint32_t flow = 1000; flow < 2000; ++flow)
    accepted += accepted_of(flow, 1, here(), kHere);
  EXPECT_EQ(accepted, 1001 - 564);
}

TEST_F(SkbFlowLimit, BelongsToTheEnqueuingCpuAndChargesTheTarget) {
  build({.netdev_max_backlog = 100, .flow_limit_cpu_bitmap = {kHere}});
  EXPECT_EQ(accepted_of(kFlow, 200, here(), kThere), 50 + 51) << "64 of them would be the limit";
  build({.netdev_max_backlog = 1000, .flow_limit_cpu_bitmap = {kHere}});
  EXPECT_EQ(accepted_of(kFlow, 600, here(), kThere), 564);
  EXPECT_EQ(here().counters().flow_limit_count, 36U);
  EXPECT_EQ(there().counters().flow_limit_count, 0U);
  EXPECT_EQ(here().counters().dropped, 0U);
  EXPECT_EQ(there().counters().dropped, 36U);
}

TEST_F(SkbFlowLimit, IsNotAskedOnceTheQueueIsFull) {
  build({.netdev_max_backlog = 10, .flow_limit_cpu_bitmap = {kHere}});
  accepted_of(kFlow, 11, here(), kHere);
  EXPECT_EQ(enqueue_of(kFlow, here(), kHere), SoftnetData::Enqueue::cpu_backlog);
  EXPECT_EQ(here().counters().flow_limit_count, 0U);
}

TEST_F(SkbFlowLimit, LosesItsCountWithItsTable) {
  build({.netdev_max_backlog = 1000, .flow_limit_cpu_bitmap = {kHere}});
  accepted_of(kFlow, 600, here(), kHere);
  here().set({.netdev_max_backlog = 2000, .flow_limit_cpu_bitmap = {kHere}}, nullptr);
  EXPECT_EQ(here().counters().flow_limit_count, 36U) << "another setting leaves it alone";
  here().set({.netdev_max_backlog = 1000}, nullptr);
  EXPECT_EQ(here().counters().flow_limit_count, 0U) << "as softnet_seq_show() without a table";
  EXPECT_EQ(accepted_of(kFlow, 10, here(), kHere), 10) << "off";
  here().set({.netdev_max_backlog = 1000, .flow_limit_cpu_bitmap = {kHere}}, nullptr);
  EXPECT_EQ(accepted_of(kFlow, 100, here(), kHere), 64) << "on again, without a memory";
  EXPECT_EQ(here().counters().flow_limit_count, 36U);
}

}  // namespace
}  // namespace vethd

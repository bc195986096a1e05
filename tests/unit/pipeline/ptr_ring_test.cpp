// The ring between a sending veth and the NAPI of its peer.
#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "daemon/pipeline/ptr_ring.hpp"
#include "drivers/memory/random.hpp"

namespace vethd {
namespace {

/// The ring and, beside it, what must be in it.
class Ring : public testing::Test {
 protected:
  Ring() : frames_(3 * PtrRing::kSlots) {
    for (Frame& frame : frames_) {
      frame.holder = Holder::in_hand;
      free_.push_back(&frame);
    }
  }
  bool produce() {
    Frame& frame = *free_.front();
    if (!ring_.produce(frame)) return false;
    free_.pop_front();
    in_it_.push_back(&frame);
    EXPECT_EQ(frame.holder, Holder::napi_ring);
    return true;
  }
  /// Whether the ring gave what it should.
  bool consume() {
    Frame* const frame = ring_.consume();
    Frame* const expected = in_it_.empty() ? nullptr : in_it_.front();
    if (frame != expected) return false;
    if (frame == nullptr) return true;
    EXPECT_EQ(frame->holder, Holder::in_hand);
    in_it_.pop_front();
    free_.push_back(frame);
    return true;
  }
  std::vector<Frame*> visited() {
    std::vector<Frame*> seen;
    ring_.for_each([&](Frame& frame) { seen.push_back(&frame); });
    return seen;
  }
  /// As if it had been in use: both ends at this slot.
  void advance(std::size_t slots) {
    for (std::size_t i = 0; i < slots; ++i) {
      ASSERT_TRUE(produce());
      ASSERT_TRUE(consume());
    }
  }
  std::size_t fill() {
    std::size_t taken = 0;
    while (produce()) ++taken;
    return taken;
  }

  PtrRing ring_;
  std::vector<Frame> frames_;
  std::deque<Frame*> free_;
  std::deque<Frame*> in_it_;
};

TEST_F(Ring, Holds256Frames) {
  EXPECT_TRUE(ring_.empty());
  EXPECT_EQ(fill(), 256U);
  EXPECT_TRUE(ring_.full());
  EXPECT_FALSE(ring_.empty());
  EXPECT_EQ(free_.front()->holder, Holder::in_hand) << "a refused frame stays with the producer";
}

TEST_F(Ring, RefusesUntilAWholeBatchHasBeenConsumed) {
  fill();
  for (int consumed = 1; consumed < 16; ++consumed) {
    ASSERT_TRUE(consume());
    EXPECT_TRUE(ring_.full()) << consumed << " consumed";
    EXPECT_FALSE(produce());
  }
  ASSERT_TRUE(consume());
  EXPECT_EQ(fill(), 16U) << "all of the batch at once";
}

TEST_F(Ring, EmptiesTheLastSlotsBeforeItStartsOver) {
  advance(8);  // batches no longer end where the ring does
  EXPECT_EQ(fill(), 256U - 8) << "consumed slots that are not empty yet do not count as free";
  for (std::size_t i = 0; i < 248; ++i) ASSERT_TRUE(consume());
  EXPECT_EQ(in_it_.size(), 0U);
  EXPECT_TRUE(ring_.empty());
  EXPECT_EQ(fill(), 256U);
}

TEST_F(Ring, ShowsExactlyWhatIsInItWhereverItsEndsAre) {
  for (std::size_t start = 0; start < 2 * PtrRing::kSlots; ++start) {
    EXPECT_EQ(visited().size(), 0U);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(produce());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(consume());
    ASSERT_EQ(visited(), std::vector<Frame*>(in_it_.begin(), in_it_.end())) << start;
    while (!in_it_.empty()) ASSERT_TRUE(consume());
  }
}

TEST_F(Ring, ShowsAllOfAFullRingWithConsumedSlots) {
  fill();
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(consume());
  EXPECT_EQ(visited(), std::vector<Frame*>(in_it_.begin(), in_it_.end()));
}

TEST_F(Ring, IsFirstInFirstOutUnderRandomUse) {
  Random random(1);
  for (int i = 0; i < 200'000; ++i) {
    const bool filling = (i / 1000) % 2 == 0;  // nearly full and nearly empty in turn
    if (random.percent(filling ? 70 : 30)) {
      const bool taken = produce();
      ASSERT_EQ(taken || in_it_.size() > PtrRing::kSlots - PtrRing::kBatch, true)
          << "refuses within a batch of full only";
    } else {
      ASSERT_TRUE(consume()) << "operation " << i;
    }
  }
  ASSERT_EQ(visited(), std::vector<Frame*>(in_it_.begin(), in_it_.end()));
}

}  // namespace
}  // namespace vethd

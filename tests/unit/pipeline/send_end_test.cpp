// Which frames a sender is taken to have sent at once.
#include "daemon/pipeline/send_end.hpp"

#include <gtest/gtest.h>

#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::following;
using test::Spec;

constexpr std::size_t kMost = 64;

class SendEnds : public testing::Test {
 protected:
  void arrive(int frames, std::uint32_t payload = 1460) {
    next_.payload = payload;
    for (; frames > 0; --frames, next_ = following(next_))
      waiting_.push(memory_.put(test::build(next_)));
  }
  std::size_t look() { return send_end_.batch(waiting_, kMost, memory_.arena()); }
  /// A look that lets frames go on; how many.
  std::size_t take() {
    const std::size_t frames = look();
    for (std::size_t i = 0; i < frames; ++i) memory_.pool().release(*waiting_.pop());
    return frames;
  }
  ~SendEnds() override {
    while (Frame* frame = waiting_.pop()) memory_.pool().release(*frame);
  }

  test::Frames memory_;
  FrameList waiting_{Holder::endpoint};
  SendEnd send_end_;
  Spec next_;
};

TEST_F(SendEnds, WhenALookHasBroughtNothingMore) {
  arrive(1);
  EXPECT_EQ(look(), 0U);
  arrive(2);
  EXPECT_EQ(look(), 0U) << "it goes on";
  EXPECT_EQ(take(), 3U);
  arrive(1);
  EXPECT_EQ(look(), 0U) << "another send";
  EXPECT_EQ(take(), 1U);
}

TEST_F(SendEnds, AtOnceWhenAsManyWaitAsMay) {
  arrive(kMost, 100);
  EXPECT_EQ(take(), kMost);
}

TEST_F(SendEnds, WhereASuperFrameOfTheSenderEnds) {
  arrive(kMost);
  EXPECT_EQ(take(), 44U) << "44 * 1460 + 40 bytes are less than 65536, 45 are not";
  EXPECT_EQ(look(), 0U) << "the rest may be the begin of another";
  arrive(24);
  EXPECT_EQ(look(), 0U);
  arrive(20);
  EXPECT_EQ(take(), 44U);
  EXPECT_EQ(look(), 0U);
  EXPECT_EQ(take(), 20U);
  EXPECT_TRUE(waiting_.empty());
}

TEST_F(SendEnds, OfDatagramsOnlyByLooks) {
  next_.tcp = false;
  arrive(kMost);
  EXPECT_EQ(take(), kMost);
}

TEST_F(SendEnds, WithAFrameThatIsLongerThanAnySend) {
  arrive(1, 3000);  // an MTU of its own
  EXPECT_EQ(look(), 0U);
  EXPECT_EQ(take(), 1U);
}

}  // namespace
}  // namespace vethd

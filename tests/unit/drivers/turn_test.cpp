// How much a source may bring at a time, by what it has cost.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

#include "drivers/turn.hpp"

namespace vethd {
namespace {

using namespace std::chrono_literals;

void measure(Turn& turn, std::chrono::nanoseconds each, unsigned times = 8) {
  for (unsigned i = 0; i < times; ++i) turn.measured(10, 10 * each);
}

TEST(Turn, IsWithoutBoundUntilItIsMeasured) {
  Turn turn;
  EXPECT_GE(turn.share(), 65536U);
  EXPECT_FALSE(turn.ends_round(1)) << "not worth a look at the clock";
  EXPECT_TRUE(turn.ends_round(Turn::kWorthALook));
}

TEST(Turn, BringsWhatFitsInItsTime) {
  Turn turn;
  measure(turn, 10us);
  EXPECT_EQ(turn.share(), static_cast<std::uint32_t>(Turn::kLength / 10us));
  measure(turn, 1us);
  EXPECT_EQ(turn.share(), static_cast<std::uint32_t>(Turn::kLength / 1us));
}

TEST(Turn, BringsOneFrameHoweverLongItTakes) {
  Turn turn;
  measure(turn, 1s);
  EXPECT_EQ(turn.share(), 1U);
  EXPECT_TRUE(turn.ends_round(1));
}

TEST(Turn, TakesTheQuickestOfSome) {
  Turn turn;
  measure(turn, 5ms, 7);  // somebody else had the CPU
  measure(turn, 2us, 1);
  EXPECT_EQ(turn.share(), static_cast<std::uint32_t>(Turn::kLength / 2us));
}

TEST(Turn, IsMeasuredAlwaysWhereItIsLongAndElseNowAndThen) {
  Turn turn;
  measure(turn, 1us);
  EXPECT_TRUE(turn.ends_round(turn.share()));
  unsigned measured = 0;
  for (unsigned i = 0; i < 160; ++i) measured += turn.ends_round(Turn::kWorthALook) ? 1 : 0;
  EXPECT_EQ(measured, 10U);
}

}  // namespace
}  // namespace vethd

// When a worker looks on before it sleeps.
#include <gtest/gtest.h>

#include "daemon/worker/busy_poll.hpp"

namespace vethd {
namespace {

using namespace std::chrono_literals;
using Look = BusyPoll::Look;

constexpr Instant kStart{1s};

/// Looks in vain until it is over, every microsecond.
Look look_in_vain(BusyPoll& busy_poll, Instant began) {
  for (Instant last = began;; last += 1us) {
    const Look look = busy_poll.found_nothing(began, last, last + 1us);
    if (look != Look::on) return look;
  }
}

TEST(BusyPoll, IsOffWithoutALimit) {
  EXPECT_FALSE(BusyPoll(0us).is_on());
  EXPECT_TRUE(BusyPoll(50us).is_on());
}

TEST(BusyPoll, PaysOnlyAfterASleepThatALookWouldHaveSpared) {
  BusyPoll busy_poll(50us);
  EXPECT_FALSE(busy_poll.pays(kStart)) << "an idle worker sleeps";
  busy_poll.slept(51us);
  EXPECT_FALSE(busy_poll.pays(kStart));
  busy_poll.slept(50us);
  EXPECT_TRUE(busy_poll.pays(kStart));
}

TEST(BusyPoll, LooksAsLongAsItsLimit) {
  BusyPoll busy_poll(50us);
  EXPECT_EQ(busy_poll.found_nothing(kStart, kStart + 48us, kStart + 49us), Look::on);
  EXPECT_EQ(busy_poll.found_nothing(kStart, kStart + 49us, kStart + 50us), Look::missed);
}

TEST(BusyPoll, IsLeftOffAfterAFewLooksInVain) {
  BusyPoll busy_poll(50us);
  busy_poll.slept(10us);
  for (int i = 0; i < BusyPoll::kMisses; ++i) {
    EXPECT_TRUE(busy_poll.pays(kStart)) << i;
    EXPECT_EQ(look_in_vain(busy_poll, kStart), Look::missed);
  }
  EXPECT_FALSE(busy_poll.pays(kStart));
}

TEST(BusyPoll, GoesOnAsLongAsSomethingIsFoundNowAndThen) {
  BusyPoll busy_poll(50us);
  busy_poll.slept(10us);
  for (int i = 0; i < 10; ++i) {
    for (int miss = 1; miss < BusyPoll::kMisses; ++miss) look_in_vain(busy_poll, kStart);
    ASSERT_TRUE(busy_poll.pays(kStart));
    busy_poll.found_something();
  }
}

TEST(BusyPoll, LeavesTheCpuToOthersWhoWantIt) {
  BusyPoll busy_poll(50us);
  busy_poll.slept(10us);
  const Instant now = kStart + 1us + BusyPoll::kOthersTurn + 1ns;
  EXPECT_EQ(busy_poll.found_nothing(kStart, kStart + 1us, now), Look::disturbed);
  EXPECT_FALSE(busy_poll.pays(now));
  EXPECT_FALSE(busy_poll.pays(now + BusyPoll::kLeaveAlone - 1ns));
  EXPECT_TRUE(busy_poll.pays(now + BusyPoll::kLeaveAlone));
}

}  // namespace
}  // namespace vethd

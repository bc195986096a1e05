#include "bench/path/rate_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace vethd::bench {
namespace {

constexpr double kSenderFps = 1e6;

/// A path that carries capacity frames per second and loses the rest.
Sample through(double capacity, std::optional<double> offered) {
  const double sent = std::min(offered.value_or(kSenderFps), kSenderFps);
  return {.offered_fps = offered,
          .sent_fps = sent,
          .lost_share = sent > capacity ? 1 - capacity / sent : 0};
}

TEST(RateSearch, FindsTheCapacityOfASteadyPathFromBelow) {
  RateSearch search([](auto offered) -> Result<Sample> { return through(330'000, offered); });
  const auto found = search.run();
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->sender_limited);
  EXPECT_LE(found->fps, 330'000 / (1 - kLossAllowed));
  EXPECT_GE(found->fps, 330'000 * (1 - kPrecision));
}

TEST(RateSearch, SaysWhenTheSenderWasTheLimit) {
  RateSearch search([](auto offered) -> Result<Sample> { return through(2e6, offered); });
  const auto found = search.run();
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->sender_limited);
  EXPECT_EQ(found->fps, kSenderFps);
  EXPECT_EQ(found->trials.size(), std::size_t{kPassesToConfirm});
}

TEST(RateSearch, DoesNotBelieveOneLuckyRun) {
  // The first trial offered above capacity while halving loses nothing by chance.
  bool lucky = true;
  RateSearch search([&](auto offered) -> Result<Sample> {
    Sample sample = through(200'000, offered);
    if (offered && !sample.passes() && std::exchange(lucky, false)) sample.lost_share = 0;
    return sample;
  });
  const auto found = search.run();
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(lucky);
  EXPECT_LE(found->fps, 200'000 / (1 - kLossAllowed));
}

TEST(RateSearch, DoesNotRefuseARateForOneUnluckyRun) {
  // Every first trial at a rate meets a disturbance.
  std::optional<double> last = -1;
  RateSearch search([&](auto offered) -> Result<Sample> {
    Sample sample = through(200'000, offered);
    if (std::exchange(last, offered) != offered) sample.lost_share = 0.5;
    return sample;
  });
  const auto found = search.run();
  ASSERT_TRUE(found.has_value());
  EXPECT_GE(found->fps, 200'000 * (1 - kPrecision) * kStepDown);
}

TEST(RateSearch, ClaimsNoRateThatTheSenderCouldNotOffer) {
  // Only full speed overloads the path; a paced sender is held up above 400 kfps.
  RateSearch search([](auto offered) -> Result<Sample> {
    if (!offered) return through(500'000, offered);
    Sample sample = through(kSenderFps, offered);
    if (*offered > 400'000) sample.sent_fps = 50'000;
    return sample;
  });
  const auto found = search.run();
  ASSERT_TRUE(found.has_value());
  EXPECT_LE(found->fps, 400'000);
  EXPECT_GE(found->fps, 400'000 * (1 - kPrecision));
}

TEST(RateSearch, FailsOnAPathThatCarriesNothing) {
  RateSearch search([](auto offered) -> Result<Sample> { return through(0, offered); });
  EXPECT_FALSE(search.run().has_value());
}

TEST(RateSearch, StopsAtTheFirstTrialThatCouldNotRun) {
  int trials = 0;
  RateSearch search([&](auto) -> Result<Sample> {
    ++trials;
    return fail("send", {}, ENETDOWN);
  });
  const auto found = search.run();
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, ENETDOWN);
  EXPECT_EQ(trials, 1);
}

}  // namespace
}  // namespace vethd::bench

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <thread>

#include "daemon/core/fd.hpp"
#include "daemon/core/give_up.hpp"
#include "daemon/core/ids.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/core/panic.hpp"
#include "daemon/core/result.hpp"
#include "daemon/core/spsc.hpp"

namespace vethd {
namespace {

TEST(SpscQueue, HandsOutInTheOrderItWasGiven) {
  SpscQueue<int> queue(4);
  for (int lap = 0; lap < 10; ++lap) {
    EXPECT_TRUE(queue.push(2 * lap));
    EXPECT_TRUE(queue.push(2 * lap + 1));
    EXPECT_EQ(queue.pop(), 2 * lap);
    EXPECT_EQ(queue.pop(), 2 * lap + 1);
  }
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(SpscQueue, RefusesWhenFullAndTakesAgainAfterAPop) {
  SpscQueue<int> queue(4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_FALSE(queue.push(4));
  EXPECT_EQ(queue.pop(), 0);
  EXPECT_TRUE(queue.push(4));
  EXPECT_FALSE(queue.push(5));
}

TEST(SpscQueue, RoundsItsCapacityUp) {
  SpscQueue<int> queue(5);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(queue.push(i));
  EXPECT_FALSE(queue.push(8));
}

TEST(SpscQueue, CarriesWhatCannotBeCopied) {
  SpscQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.push(std::make_unique<int>(7)));
  const auto value = queue.pop();
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(**value, 7);
  EXPECT_TRUE(queue.empty());
}

TEST(SpscQueue, LosesNothingBetweenTwoThreads) {
  constexpr std::uint32_t kValues = 200'000;
  SpscQueue<std::uint32_t> queue(64);
  std::thread producer([&] {
    for (std::uint32_t i = 0; i < kValues;)
      if (queue.push(i))
        ++i;
      else
        std::this_thread::yield();
  });
  std::uint32_t expected = 0;
  while (expected < kValues) {
    const auto value = queue.pop();
    if (!value) {
      std::this_thread::yield();
      continue;
    }
    if (*value != expected) break;
    ++expected;
  }
  producer.join();
  EXPECT_EQ(expected, kValues);
}

TEST(MacAddress, ReadsWhatItWrites) {
  const auto mac = parse_mac("02:0a:00:fF:00:01");
  ASSERT_TRUE(mac.has_value());
  EXPECT_EQ(mac->text(), "02:0a:00:ff:00:01");
  EXPECT_EQ(parse_mac(mac->text()), *mac);
}

TEST(MacAddress, RefusesEverythingElse) {
  for (const char* text : {"", "02:00:00:00:00", "02:00:00:00:00:01:", "02-00-00-00-00-01",
                           "2:0:0:0:0:1", "02:00:00:00:00:0g", "02:00:00:00:00:-1",
                           "02:00:00:00:00:0x1", " 02:00:00:00:00:1", "020000000001"})
    EXPECT_FALSE(parse_mac(text).has_value()) << text;
}

TEST(MacAddress, IsValidWhenUnicastAndNotZero) {
  EXPECT_TRUE(parse_mac("02:00:00:00:00:01")->is_valid());
  EXPECT_FALSE(parse_mac("00:00:00:00:00:00")->is_valid());
  EXPECT_FALSE(parse_mac("01:00:5e:00:00:01")->is_valid());
  EXPECT_FALSE(parse_mac("ff:ff:ff:ff:ff:ff")->is_valid());
}

TEST(Error, SaysStepCauseAndRemedyInOneLine) {
  EXPECT_EQ((Error{.code = ENOENT, .doing = "open red", .hint = "create it"}.text()),
            "open red: No such file or directory (create it)");
  EXPECT_EQ((Error{.code = 0, .doing = "open red", .hint = ""}.text()), "open red");
}

TEST(Result, KeepsTheErrnoOfTheCallThatFailed) {
  errno = EBUSY;
  const Result<int> result = fail("bind");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, EBUSY);
}

TEST(PathId, NamesADirectionOfAPair) {
  const PairId pair{7};
  for (const Side side : {Side::a, Side::b}) {
    const PathId path = path_from(pair, side);
    EXPECT_EQ(pair_of(path), pair);
    EXPECT_EQ(entry_of(path), side);
    EXPECT_EQ(reverse_of(path), path_from(pair, peer_of(side)));
  }
}

TEST(InvariantDeathTest, AbortsWithItsName) {
  EXPECT_DEATH(invariant(false, "the sky is blue"), "broken invariant: the sky is blue");
}

TEST(Error, KnowsTheOneRemedyForTooFewDescriptors) {
  const Error error{.code = EMFILE, .doing = "open /dev/net/tun", .hint = "load the tun module"};
  EXPECT_EQ(error.text().find("load the tun module"), std::string::npos);
  EXPECT_NE(error.text().find("ulimit -n"), std::string::npos) << error.text();
}

TEST(GiveUpDeathTest, SaysWhyAndEndsWithAnExitStatus) {
  EXPECT_EXIT(give_up({.code = EPERM, .doing = "submit to io_uring", .hint = "allow it"}),
              testing::ExitedWithCode(1),
              "error: submit to io_uring: Operation not permitted \\(allow it\\)");
}

}  // namespace
}  // namespace vethd

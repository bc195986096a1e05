#include "daemon/process/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <string>

#include "daemon/process/log_limit.hpp"
#include "daemon/process/log_sink.hpp"

namespace vethd {
namespace {

using namespace std::chrono_literals;

constexpr LogLimit::Kind kHere{.file = "a.cpp", .line = 1};
constexpr LogLimit::Kind kThere{.file = "a.cpp", .line = 2};

int take_all(LogLimit& limit, LogLimit::Kind kind, LogLimit::Clock::time_point now) {
  int taken = 0;
  while (limit.take(kind, now)) ++taken;
  return taken;
}

TEST(LogLimit, TakesABurstAndThenALinePerSecond) {
  LogLimit limit;
  const LogLimit::Clock::time_point start{1h};
  EXPECT_EQ(take_all(limit, kHere, start), static_cast<int>(LogLimit::kBurst));
  EXPECT_EQ(take_all(limit, kHere, start + 500ms), 0);
  EXPECT_EQ(take_all(limit, kHere, start + 3s), 3);
  EXPECT_EQ(take_all(limit, kHere, start + 24h), static_cast<int>(LogLimit::kBurst));
}

TEST(LogLimit, CountsEachKindByItself) {
  LogLimit limit;
  const LogLimit::Clock::time_point start{1h};
  take_all(limit, kHere, start);
  EXPECT_TRUE(limit.take(kThere, start));
}

TEST(LogLimit, SaysOnceHowManyWereLeftOut) {
  LogLimit limit;
  limit.leave_out(kHere, "one");
  limit.leave_out(kHere, "two");
  limit.leave_out(kThere, "three");
  std::string said;
  const auto deaf = [](std::uint64_t, const std::string&) { return false; };
  const auto say = [&](std::uint64_t count, const std::string& last) {
    said += std::to_string(count) + last + " ";
    return true;
  };
  limit.say_left_out(deaf);
  EXPECT_TRUE(limit.anything_left_out());
  limit.say_left_out(say);
  EXPECT_FALSE(limit.anything_left_out());
  EXPECT_TRUE(said == "2two 1three " || said == "1three 2two ") << said;
}

/// The log of this process, into a file, while it exists.
class ScopedLog {
 public:
  ScopedLog()
      : file_(::memfd_create("log", MFD_CLOEXEC)), sink_(std::make_shared<LogSink>(file_.get())) {
    sink_->set_pattern("%l: %v");
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_));
  }
  ~ScopedLog() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("none")); }
  LogSink& sink() { return *sink_; }
  [[nodiscard]] std::string text() const {
    std::string all(1 << 20, '\0');
    const ssize_t got = ::pread(file_.get(), all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
  }

 private:
  Fd file_;
  std::shared_ptr<LogSink> sink_;
};

TEST(Log, EscapesWhatOthersMayHavePutIn) {
  const ScopedLog scoped;
  log::warn("renamed to {}", "\x1b[2J");
  EXPECT_NE(scoped.text().find("warning: renamed to \\x1b[2J"), std::string::npos);
}

TEST(Log, LeavesOutWhatIsTooMuchAndSaysHowMuch) {
  constexpr int kTooMany = 50;
  ScopedLog scoped;
  int told = 0;
  scoped.sink().on_left_out([&] { ++told; });
  for (int i = 0; i < static_cast<int>(LogLimit::kBurst) + kTooMany; ++i) log::info("line {}", i);
  EXPECT_EQ(told, 1);
  log::info("of another kind");
  EXPECT_TRUE(scoped.sink().say_left_out());
  const std::string text = scoped.text();
  EXPECT_NE(text.find("line 199"), std::string::npos);
  EXPECT_EQ(text.find("line 210"), std::string::npos);
  EXPECT_NE(text.find("of another kind"), std::string::npos);
  // A line or two more where this runs for seconds.
  EXPECT_NE(text.find(" lines were left out, the last was: line 249"), std::string::npos) << text;
}

}  // namespace
}  // namespace vethd

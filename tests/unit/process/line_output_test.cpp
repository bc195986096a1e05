#include "daemon/process/line_output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

namespace vethd {
namespace {

/// What is in a descriptor now.
std::string drain(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  std::string all;
  std::array<char, 4096> piece{};
  for (ssize_t got = 0; (got = ::read(fd.get(), piece.data(), piece.size())) > 0;)
    all.append(piece.data(), static_cast<std::size_t>(got));
  return all;
}

/// Writes until no more is taken; a hang here is the failure.
int fill(LineOutput& output, const std::string& line) {
  constexpr int kMoreThanFits = 100'000;
  int lines = 0;
  while (lines < kMoreThanFits && output.write(line)) ++lines;
  return lines;
}

struct Ends {
  Fd read, write;
};
Ends make_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}
Ends make_sockets() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

class LineOutputTo : public testing::TestWithParam<Ends (*)()> {};
INSTANTIATE_TEST_SUITE_P(Kind, LineOutputTo, testing::Values(&make_pipe, &make_sockets),
                         [](const auto& drawn) { return drawn.index == 0 ? "Pipe" : "Socket"; });

TEST_P(LineOutputTo, AFullOneRefusesAndTakesAgainWhenRead) {
  const Ends ends = GetParam()();
  LineOutput output(ends.write.get());
  const std::string line(100, 'x');
  const int taken = fill(output, line);
  ASSERT_GT(taken, 0);
  EXPECT_FALSE(output.write(line));
  EXPECT_EQ(drain(ends.read).size(), static_cast<std::size_t>(taken) * (line.size() + 1));
  EXPECT_TRUE(output.write("after"));
  EXPECT_EQ(drain(ends.read), "after\n");
}

TEST_P(LineOutputTo, LeavesTheOpenFileOfOthersBlocking) {
  const Ends ends = GetParam()();
  LineOutput output(ends.write.get());
  EXPECT_TRUE(output.write("line"));
  EXPECT_EQ(::fcntl(ends.write.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(LineOutputTo, OneWhoseReaderHasGoneRefuses) {
  ::signal(SIGPIPE, SIG_IGN);
  Ends ends = GetParam()();
  LineOutput output(ends.write.get());
  ends.read.reset();
  EXPECT_FALSE(output.write("line"));
}

TEST(LineOutput, CutsALineThatAPipeWouldTakeInParts) {
  const Ends ends = make_pipe();
  LineOutput output(ends.write.get());
  EXPECT_TRUE(output.write(std::string(3 * LineOutput::kMaxLineBytes, 'x')));
  const std::string got = drain(ends.read);
  EXPECT_EQ(got.size(), LineOutput::kMaxLineBytes);
  EXPECT_EQ(got.back(), '\n');
}

TEST(LineOutput, FinishesALineThatATerminalTookInPart) {
  const Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const Fd terminal(::open(::ptsname(master.get()), O_WRONLY | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal.is_open());
  LineOutput output(terminal.get());
  const std::string line(999, 'x');
  ASSERT_GT(fill(output, line), 0);
  std::string got = drain(master);
  ASSERT_GT(fill(output, line), 0);
  got += drain(master);
  // Whole lines, the one at which it was full as well.
  for (std::size_t start = 0; start < got.size();) {
    const std::size_t end = got.find('\n', start);
    if (end == std::string::npos) break;
    EXPECT_EQ(got.substr(start, end - start), line + "\r");
    start = end + 1;
  }
}

}  // namespace
}  // namespace vethd

// Simulations by seed: the ones that once failed, random ones, and ones that must fail.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>

#include "tests/sim/simulation.hpp"

namespace vethd::sim {
namespace {

Outcome simulate(std::uint64_t seed) {
  const auto parameters = Parameters::draw(seed, kDefaultSteps);
  // Before the run, so that an abort leaves it as the last line.
  std::printf("%s\n", parameters.text().c_str());
  std::fflush(stdout);
  try {
    return Simulation(parameters).run();
  } catch (const Failure& failure) {
    ADD_FAILURE() << failure.what() << "\nreplay: " SIM_PROGRAM " --seed=" << seed;
    return {};
  }
}

TEST(Simulation, SameSeedGivesTheSameRun) {
  for (const std::uint64_t seed : {2, 10, 17}) {
    const Outcome first = simulate(seed);
    const Outcome second = simulate(seed);
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.delivered, second.delivered);
    EXPECT_GT(first.delivered, 0U);
  }
}

TEST(Simulation, DifferentSeedsGiveDifferentRuns) {
  EXPECT_NE(simulate(2).trace, simulate(3).trace);
}

TEST(Simulation, RegressionSeedsHold) {
  std::ifstream file(SIM_REGRESSIONS);
  ASSERT_TRUE(file.is_open());
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line.front() != '#') simulate(std::stoull(line));
}

TEST(Simulation, RandomSeedsHoldAndMeetEveryDropOfTheLedger) {
  const char* const count = std::getenv("VETHD_SIM_SEEDS");  // NOLINT(concurrency-mt-unsafe)
  ASSERT_NE(count, nullptr) << "how many seeds? meson sets it";
  const std::uint64_t first = std::uint64_t{std::random_device{}()} << 12;
  Counters totals;
  std::uint64_t rounds = 0;
  // What these runs can tell rests on what happened in them; the rarest drop may take a few more.
  constexpr int kMore = 10;
  const int seeds = std::atoi(count);
  int i = 0;
  for (; (i < seeds || !never_met(totals).empty()) && i < kMore * seeds && !HasFailure(); ++i) {
    const Outcome outcome = simulate(first + static_cast<std::uint64_t>(i));
    totals += outcome.totals;
    rounds += outcome.rounds;
  }
  std::printf("%ju rounds of %d seeds\n", static_cast<std::uintmax_t>(rounds), i);
  EXPECT_EQ(never_met(totals), "");
}

/// How the simulation with one stage broken ends: its exit status, or minus the signal.
int simulate_broken(const std::string& stage) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("VETHD_BREAK", stage.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(null, STDOUT_FILENO);
    ::dup2(null, STDERR_FILENO);
    ::execl(SIM_BREAKABLE_PROGRAM, SIM_BREAKABLE_PROGRAM, "--seed=1", "--count=200", "--meet-all",
            nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class BrokenStage : public testing::TestWithParam<const char*> {};

TEST_P(BrokenStage, IsNoticedByTheSimulation) { EXPECT_EQ(simulate_broken(GetParam()), 1); }

INSTANTIATE_TEST_SUITE_P(Each, BrokenStage,
                         testing::Values("forward", "scrub", "eth_type_trans", "csum", "rps",
                                         "enqueue_to_backlog", "handover", "net_rx_action",
                                         "process_backlog", "delivery", "flow_limit", "softirq",
                                         "mask", "wake_queue", "gro", "coalesce"),
                         [](const auto& stage) { return std::string(stage.param); });
// RFS is not among them: a flow may change its way where the kernel's does, so that its order says
// nothing. Unit tests have when it moves.

TEST(BreakableBuild, HoldsWhenNothingIsBroken) { EXPECT_EQ(simulate_broken("none"), 0); }

TEST(BreakableBuild, RefusesAnUnknownStage) { EXPECT_EQ(simulate_broken("nonsense"), -SIGABRT); }

}  // namespace
}  // namespace vethd::sim

// Runs simulations by seed: what a failing test says to replay, and what broken stages are run by.
//
//   sim --seed=N [--count=N] [--steps=N] [--meet-all]     exit 0: all held; 1: something did not
#include <cstdio>

#include "tests/sim/arguments.hpp"
#include "tests/sim/simulation.hpp"

namespace {

void print_counters(const vethd::Counters& counters) {
  vethd::for_each_counter(counters, [](std::string_view name, auto, auto, auto, std::uint64_t n) {
    if (n != 0) std::printf(" %.*s=%ju", static_cast<int>(name.size()), name.data(), n);
  });
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const auto [seed, count, steps, meet_all] =
      vethd::sim::parse(argc, argv, vethd::sim::kDefaultSteps);
  vethd::Counters totals;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto parameters = vethd::sim::Parameters::draw(seed + i, steps);
    std::printf("%s\n", parameters.text().c_str());
    std::fflush(stdout);
    try {
      const auto outcome = vethd::sim::Simulation(parameters).run();
      totals += outcome.totals;
      std::printf("  trace=%016jx rounds=%ju delivered=%ju snapshots=%ju:",
                  static_cast<std::uintmax_t>(outcome.trace), outcome.rounds, outcome.delivered,
                  outcome.snapshots);
      print_counters(outcome.totals);
    } catch (const vethd::sim::Failure& failure) {
      std::printf("  FAILED %s\n  replay: %s --seed=%ju --steps=%u\n", failure.what(), argv[0],
                  seed + i, steps);
      return 1;
    }
  }
  if (const std::string rows = vethd::sim::never_met(totals); meet_all && !rows.empty()) {
    std::printf("  FAILED never met: %s\n", rows.c_str());
    return 1;
  }
  return 0;
}

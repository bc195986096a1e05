#include "tests/sim/arguments.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace vethd::sim {

Arguments parse(int argc, char** argv, std::uint32_t default_steps) {
  Arguments arguments{.steps = default_steps};
  CLI::App app("Simulates workers over devices in memory");
  app.add_option("--seed", arguments.seed, "the first seed")->required();
  app.add_option("--count", arguments.count, "how many seeds, ascending");
  app.add_option("--steps", arguments.steps, "of the scheduler, each");
  app.add_flag("--meet-all", arguments.meet_all, "fail if a row of the ledger was never met");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return arguments;
}

}  // namespace vethd::sim

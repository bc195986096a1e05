// The command line of sim, apart from the rest: CLI11 takes longer to compile than all of it, and
// sim is built twice.
#pragma once

#include <cstdint>

namespace vethd::sim {

struct Arguments {
  std::uint64_t seed = 1;
  std::uint64_t count = 1;
  std::uint32_t steps = 0;  // of the scheduler
  bool meet_all = false;
};

/// Ends the program where there is nothing to run: --help, or an error.
Arguments parse(int argc, char** argv, std::uint32_t default_steps);

}  // namespace vethd::sim

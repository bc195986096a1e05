// What one simulation is like, all of it drawn from its seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/softnet.hpp"
#include "drivers/memory/memory_io.hpp"

namespace vethd::sim {

struct MachineParameters {
  Rules rules = kRules618;
  Sysctls sysctls;
  std::uint32_t hz = 250;
  bool inline_arrival = false;
};

struct PairParameters {
  std::uint32_t machine = 0;
  Device ends[2];
  std::uint32_t queues[2] = {1, 1};
  bool owner_only[2] = {false, false};  // only the worker that reads a queue may write to it
};

struct Parameters {
  std::uint64_t seed = 0;
  std::uint32_t steps = 0;  // of the scheduler, before it drains
  std::uint32_t workers = 1;
  std::uint32_t chunks_per_worker = 0;
  std::vector<MachineParameters> machines;
  std::vector<PairParameters> pairs;
  MemoryTroubles troubles;
  std::uint32_t slow_percent = 0;    // chance of a poll to take longer than any time limit
  std::uint32_t send_percent = 0;    // chance of a burst in a step
  std::uint32_t burst_packets = 0;   // in it, at most
  std::uint32_t stall_percent = 0;   // chance of a worker or a receiver to stop for a while
  std::uint32_t change_percent = 0;  // chance of control to change something

  static Parameters draw(std::uint64_t seed, std::uint32_t steps);
  /// One line.
  [[nodiscard]] std::string text() const;
};

// Enough for a few thousand frames and several snapshots and changes.
constexpr std::uint32_t kDefaultSteps = 2000;

// The two sizes a device's mtu changes between; anything longer than the larger is never forwarded.
constexpr std::uint32_t kSmallMtu = 576;
constexpr std::uint32_t kLargeMtu = 1500;

}  // namespace vethd::sim

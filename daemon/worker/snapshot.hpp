// What one worker has counted, all of it at one moment.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

/// The share of one worker in a consistent cut through all of them.
///
/// A worker records its counters and queues at the end of a round and sends a marker down each of
/// its hand-over queues. What arrives on such a queue after the own record and before the marker
/// was on its way at the moment of the cut, and is counted as such (Chandy and Lamport, 1985).
/// Nobody waits for anybody, and no frame is missed or counted twice.
struct WorkerSnapshot {
  struct Direction {
    Counters counters;
    InFlight in_flight;
    std::vector<RqCounters> rq;  // by the receiver's queue; empty where it has never polled
  };
  std::vector<Direction> paths;           // by PathId
  std::vector<SoftnetCounters> machines;  // by MachineId, of this worker's CPU
  WorkerCounters worker;
};

}  // namespace vethd

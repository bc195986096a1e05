// One direction of one pair, as one worker has it.
#pragma once

#include <memory>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/rfs.hpp"
#include "daemon/pipeline/veth_rq.hpp"
#include "daemon/stats/counters.hpp"

namespace vethd {

class SoftnetData;

/// Sender, receiver, machine, ledger.
struct Path {
  PathId id;
  Device dev;   // where the frame was sent
  Device peer;  // where it will be received
  // Whoever sends can wait until control has looked at the devices again: Xmit::unsure.
  bool can_ask = false;
  SoftnetData* softnet = nullptr;  // of the pair's machine, on this worker's CPU
  Counters counters;
  // The receiver's queues, by index; nullptr: another worker's, whose sender's queue it reads.
  std::vector<std::unique_ptr<VethRq>> rq;
  std::vector<RpsDevFlowTable> rps_flow_tables;  // by the receiver's rx queue; empty: no RFS
};

}  // namespace vethd

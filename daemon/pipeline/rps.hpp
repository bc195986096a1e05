// Receive packet steering: which emulated CPU does the receive work.
#pragma once

#include <optional>

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {

struct RpsChoice {
  std::optional<CpuId> cpu;    // nothing: this one, without RPS
  RpsDevFlow* flow = nullptr;  // to be told the queue's tail
};

/// The CPU that RFS wants for this flow, or else the one the receiver's rps_cpus map names.
///
/// Emulates  net/core/dev.c: get_rps_cpu(), set_rps_cpu(). Every rx queue of a device has the same
///           map here, so that of queue_mapping counts only which queue's flow table is meant, and
///           whether there is such a queue: the sender's tx queue + 1 where it is not 0.
RpsChoice get_rps_cpu(Path& path, Frame& frame, const std::byte* data);

/// Whether get_rps_cpu() can choose any CPU; if not, no hash is computed.
[[nodiscard]] inline bool has_rps(const Path& path) {
  return path.peer.has_rps_map() || !path.rps_flow_tables.empty();
}

/// The application behind the sending end has shown where it runs: here.
///
/// Emulates  include/net/rps.h: sock_rps_record_flow(), under the rule of SockFlowTable. A flow
///           whose IPv6 label differs by direction is not found again.
void record_flow(const Path& path, SockFlowTable& sockets, Frame& frame, const std::byte* data);
inline void sock_rps_record_flow(const Path& path, Frame& frame, const std::byte* data) {
  SockFlowTable* const sockets = path.softnet->sock_flow_table();
  if (sockets != nullptr) record_flow(path, *sockets, frame, data);
}

}  // namespace vethd

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

/// The receiver's queue that a frame of a sender's queue counts as received on.
///
/// Emulates  drivers/net/veth.c: veth_xmit(): Linux 5.4 records the queue of frames for a program.
///           Elsewhere the sender's stays in queue_mapping, where skb_get_rx_queue() reads it as
///           one more than the receiver's, and 0 as none.
[[nodiscard]] inline std::uint32_t rx_queue_of(const Rules& rules, const Device& peer,
                                               std::uint32_t tx_queue) {
  if ((rules.records_rx_queue && peer.has_xdp) || tx_queue == 0) return tx_queue;
  return tx_queue - 1;
}

/// The CPU that RFS wants for this flow, or else one of those that rps_cpus of its rx queue names.
///
/// Emulates  net/core/dev.c: get_rps_cpu(), set_rps_cpu(). The queue is that of rx_queue_of();
/// where
///           the receiver has none of that number, the frame stays.
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

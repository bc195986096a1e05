// Receive packet steering: which emulated CPU does the receive work.
#pragma once

#include <optional>

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/flow.hpp"

namespace vethd {

/// The CPU the receiver's rps_cpus map names for this flow; nothing: stay on this one.
///
/// Emulates  net/core/dev.c: get_rps_cpu() without a flow table. Every rx queue of a device has the
///           same map here, so that of queue_mapping counts only whether there is such a queue: the
///           sender's tx queue + 1 where it is not 0.
[[nodiscard]] inline std::optional<CpuId> get_rps_cpu(const Device& peer, Frame& frame,
                                                      const std::byte* data, const HashKey& key) {
  if (!peer.has_rps_map()) return std::nullopt;  // and the hash is not computed
  if (frame.meta.queue_mapping > peer.real_num_rx_queues) return std::nullopt;
  std::uint32_t hash = skb_get_hash(frame, data, key);
  if (broken(Stage::rps)) hash = static_cast<std::uint32_t>((frame.addr.value >> 4) * 0x9e3779b9);
  const auto len = static_cast<std::uint32_t>(peer.rps_cpus.size());
  return peer.rps_cpus[reciprocal_scale(hash, len)];
}

}  // namespace vethd

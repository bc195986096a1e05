// Receive flow steering: a flow's frames go where the application that reads them runs.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/pipeline/flow_limit.hpp"

namespace vethd {

constexpr std::uint32_t kRpsNoCpu = 0xffff;  // RPS_NO_CPU

/// Where applications run, by flow; one per machine.
///
/// Emulates  include/net/rps.h: struct rps_sock_flow_table, rps_record_sock_flow(). The kernel's
///           sockets write it when they are read or written. A daemon cannot see sockets: here the
///           application behind an end counts as running on the CPU that reads the queue which its
///           frames of the reverse direction leave by.
/// Shape     an entry is the flow's hash with the CPU in its low bits.
/// Threads   any worker.
class SockFlowTable {
 public:
  /// entries: a power of two.
  SockFlowTable(std::uint32_t entries, std::size_t cpus)
      : mask_(entries - 1),
        cpu_mask_(std::bit_ceil(static_cast<std::uint32_t>(cpus)) - 1),
        entries_(std::make_unique<std::atomic<std::uint32_t>[]>(entries)) {
    for (std::uint32_t i = 0; i < entries; ++i)
      entries_[i].store(kRpsNoCpu, std::memory_order_relaxed);
  }

  void record(std::uint32_t ident, CpuId cpu) {
    auto& entry = entries_[ident & mask_];
    const std::uint32_t value = (ident & ~cpu_mask_) | cpu.value;
    // Unchanged mostly; then the line stays shared.
    if (entry.load(std::memory_order_relaxed) != value)
      entry.store(value, std::memory_order_relaxed);
  }

  /// The CPU wanted, or kRpsNoCpu if the entry is another flow's.
  [[nodiscard]] std::uint32_t wanted(std::uint32_t ident) const {
    const std::uint32_t entry = entries_[ident & mask_].load(std::memory_order_relaxed);
    return ((entry ^ ident) & ~cpu_mask_) == 0 ? entry & cpu_mask_ : kRpsNoCpu;
  }

 private:
  std::uint32_t mask_;
  std::uint32_t cpu_mask_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> entries_;
};

/// The two directions of a flow have the same hash here, where in a kernel each has that of its
/// sender's socket. This keeps them apart.
[[nodiscard]] constexpr std::uint32_t flow_ident(std::uint32_t hash, Side receiver) {
  return receiver == Side::a ? hash : std::rotl(hash, 1);
}

/// Where a flow's frames have gone lately.
///
/// Emulates  include/net/rps.h: struct rps_dev_flow.
struct RpsDevFlow {
  std::uint32_t cpu = kRpsNoCpu;
  std::uint32_t last_qtail = 0;  // that CPU's input_queue_tail after the flow's last frame
};

/// One per receive queue of a device.
///
/// Emulates  include/net/rps.h: struct rps_dev_flow_table.
using RpsDevFlowTable = std::vector<RpsDevFlow>;

}  // namespace vethd

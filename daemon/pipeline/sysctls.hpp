// What an operator can set on an emulated kernel, under the kernel's names.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "daemon/core/ids.hpp"

namespace vethd {

/// The net.core sysctls of one machine. A value: control replaces it whole, between rounds.
struct Sysctls {
  std::int32_t netdev_max_backlog = 1000;               // frames in input_pkt_queue, per CPU
  std::int32_t netdev_budget = 300;                     // frames per net_rx_action()
  std::chrono::microseconds netdev_budget_usecs{8000};  // 2e6 / HZ
  std::int32_t dev_weight = 64;                         // frames per process_backlog()
  std::int32_t dev_weight_rx_bias = 1;                  // factor on it
  std::uint32_t rps_sock_flow_entries = 0;              // a power of two; 0: no RFS
  std::vector<CpuId> flow_limit_cpu_bitmap = {};        // ascending; empty: no flow limit
  std::uint32_t flow_limit_table_len = 4096;            // a power of two
};

}  // namespace vethd

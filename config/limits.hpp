// The bounds of the configuration, with their reasons.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vethd::config {

// Each worker is a thread, an io_uring and buffers; no machine we know of needs more.
constexpr std::uint32_t kMaxWorkers = 256;

constexpr std::uint32_t kMaxCpu = 8191;  // the kernel's largest NR_CPUS (x86, MAXSMP) less one

constexpr std::uint32_t kMinMtu = 68;             // ETH_MIN_MTU: the smallest IPv4 can live with
constexpr std::uint32_t kMaxTapMtu = 65535 - 14;  // drivers/net/tun.c: MAX_MTU less ETH_HLEN
constexpr std::uint32_t kMinIpv6Mtu = 1280;       // IPV6_MIN_MTU
constexpr std::uint32_t kMaxTapQueues = 256;      // drivers/net/tun.c: MAX_TAP_QUEUES
constexpr std::uint32_t kMaxTxQueueLen = 65536;   // 64 Ki frames of 64 KiB: 4 GiB of the kernel's
constexpr std::uint32_t kMinBudgetUsecs = 2'000'000 / 250;  // two jiffies at HZ = 250

// No arena holds more frames than this; a larger number is a slip of the finger.
constexpr std::int32_t kMaxQueueFrames = 1 << 20;

constexpr std::size_t kMaxNameLength = 63;  // of a pair or a machine

// Landing buffers of a worker, 64 of 64 KiB and a margin, and as much again for chunks.
constexpr std::uint64_t kMinMemoryPerWorker = 8ULL << 20;
constexpr std::uint64_t kMaxMemoryBytes = 64ULL << 30;

/// The smallest frame arena that so many workers can run on.
constexpr std::uint64_t minimum_memory_bytes(std::uint32_t workers) {
  return workers * kMinMemoryPerWorker;
}

}  // namespace vethd::config

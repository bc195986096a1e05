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

// Rings of an AF_XDP socket. The kernel takes any power of two (EINVAL else). Below one batch a
// ring is full at once; 65536 descriptors are 256 MiB of chunks, more than any device's own ring.
constexpr std::uint32_t kMinXskRing = 64;
constexpr std::uint32_t kMaxXskRing = 65536;

constexpr std::uint32_t kMaxBusyPollBudget =
    65535;  // net/core/sock.c: SO_BUSY_POLL_BUDGET, U16_MAX

constexpr std::uint16_t kMaxVlan = 4094;  // 4095 is reserved, 0 says that a frame is in no VLAN

// 4 GiB of 4 KiB chunks; a larger number is a slip of the finger.
constexpr std::int32_t kMaxQueueFrames = 1 << 20;

// rps_sock_flow_entries and rps_flow_cnt: eight times the 32768 that the kernel's scaling.rst
// suggests for a busy server. The kernel goes on to 2^29, 2 GiB of entries that are no frame's.
constexpr std::int32_t kMaxFlowEntries = 1 << 18;

// net/core/dev.h: struct sd_flow_limit keeps bucket numbers in 16 bits.
constexpr std::int32_t kMaxFlowLimitTable = 1 << 16;

// Longer than any wake-up takes; what comes later is better slept for.
constexpr std::int64_t kMaxBusyPollUsecs = 1000;

// Largest mtu of the sender while its peer has an XDP program, on x86-64: a page less headroom,
// struct skb_shared_info and Ethernet header; drivers/net/veth.c: veth_xdp_set().
constexpr std::uint32_t kMaxXdpMtu = 4096 - 256 - 320 - 14;
// More where the program takes fragments: MAX_SKB_FRAGS pages, from 6.x on.
constexpr std::uint32_t kMaxXdpFragsMtu = kMaxXdpMtu + 17 * 4096;

constexpr std::size_t kMaxProgramName = 127;  // of a BPF program; the kernel's own BTF limit

constexpr std::size_t kMaxNameLength = 63;  // of a pair or a machine

// Landing buffers of a worker, 64 of 64 KiB and a margin, and as much again for chunks.
constexpr std::uint64_t kMinMemoryPerWorker = 8ULL << 20;
constexpr std::uint64_t kMaxMemoryBytes = 64ULL << 30;
// Code, rings, kernel memory of sockets and TAPs; the arena comes on top. An idle vethd has 9 MiB.
constexpr std::uint64_t kOwnMemory = 16ULL << 20;

// What a chunk of the arena takes, its frame descriptor counted in.
constexpr std::uint64_t kMemoryPerChunk = 4096 + 128;

/// The smallest frame arena that so many workers can run on, which divide it evenly, while one of
/// them needs so many chunks beside what each has.
constexpr std::uint64_t minimum_memory_bytes(std::uint32_t workers, std::uint64_t chunks = 0) {
  return workers * (kMinMemoryPerWorker + chunks * kMemoryPerChunk);
}

}  // namespace vethd::config

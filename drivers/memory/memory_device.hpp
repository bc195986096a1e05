// A device queue in memory: what a TAP's descriptor is to the daemon, and the stack behind it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

namespace vethd {

/// Packets as they pass a TAP's descriptor: vnet header, then the frame.
using Packet = std::vector<std::byte>;

/// One queue of one device. The stack behind it sends into a ring, from which a worker reads, and
/// consumes what any worker writes.
///
/// Threads  every member may be called by any thread. The consumer runs under the device's lock.
class MemoryDevice {
 public:
  /// Sees each packet written, in order; returns 0 or the errno the write ends with.
  using Consumer = std::function<int(std::span<const std::byte>)>;

  static constexpr std::size_t kRingPackets = 1000;  // txqueuelen of a TAP

  explicit MemoryDevice(Consumer consumer) : consumer_(std::move(consumer)) {}

  /// The stack sends a packet. False: the ring is full, and the packet dropped.
  bool send(Packet packet);
  /// Until the ring has room for another packet. False: not before the deadline.
  bool wait_for_room(std::chrono::steady_clock::time_point deadline);
  [[nodiscard]] std::size_t queued() const;

  /// The stack stops consuming, or goes on: meanwhile writes stay pending. Wakes nobody; for
  /// workers that are driven without blocking.
  void stall(bool stalled);
  [[nodiscard]] bool is_stalled() const;
  /// Every read from now on fails.
  void fail_reads(int error);

  // The worker's side, for MemoryIo.
  enum class Read : std::uint8_t { packet, empty, failed };
  Read read(Packet& packet, int& error);
  [[nodiscard]] bool is_readable() const;
  /// The errno of the write, 0 if it went well.
  int write(std::span<const std::byte> packet);
  /// Called whenever the device has become readable.
  void on_event(std::function<void()> notify);

 private:
  mutable std::mutex mutex_;
  std::condition_variable room_;
  Consumer consumer_;
  std::function<void()> notify_;
  std::deque<Packet> ring_;
  bool stalled_ = false;
  int read_error_ = 0;
};

}  // namespace vethd

// One-way UDP load between two namespaces: a paced sender and a sink that misses nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"

namespace vethd::bench {

/// The two ends of a path and who works where.
struct Ends {
  std::string from_netns;
  std::string to_netns;
  std::string to_address;  // IPv4, of the receiving device
  int sender_cpu = 0;
  int receiver_cpu = 1;
  std::size_t frame_bytes = 64;  // as Ethernet counts: headers and FCS included
  unsigned flows = 1;            // destination ports; frames take them in turn
};
constexpr unsigned kMaxFlows = 1024;

enum class Pace : std::uint8_t {
  spin,   // look at the clock between sends: even spacing, one CPU fully used
  sleep,  // wake at kTick: bursts, but the sender's CPU shows what sending costs
};

struct Load {
  std::optional<double> fps;  // frames per second; empty: as fast as possible
  std::chrono::nanoseconds duration;
  Pace pace = Pace::spin;
};

/// What became of one direction's frames.
struct Tally {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t reordered = 0;  // arrived after a frame of the same flow that was sent later
  std::chrono::nanoseconds duration{0};

  [[nodiscard]] double sent_fps() const { return rate(sent); }
  /// Frames the path delivered per second of sending. What it still held when the sender stopped
  /// counts as delivered: a TAP ring is at most 1000 frames.
  [[nodiscard]] double received_fps() const { return rate(received); }
  [[nodiscard]] double lost_share() const {
    return sent == 0 ? 0 : 1 - static_cast<double>(received) / static_cast<double>(sent);
  }

 private:
  [[nodiscard]] double rate(std::uint64_t frames) const {
    return static_cast<double>(frames) / std::chrono::duration<double>(duration).count();
  }
};

/// The sockets of one direction, kept open over many trials.
///
/// Threads  trial() sends on the calling thread and receives on one of its own.
class OneWay {
 public:
  static Result<OneWay> open(const Ends& ends);

  /// Sends the load, waits until it has arrived or nothing more does.
  /// Errors  a failing socket, or a receive buffer that overflowed: then the loss was ours.
  Result<Tally> trial(const Load& load);

 private:
  OneWay(Ends ends, Fd sender, std::vector<Fd> receivers)
      : ends_(std::move(ends)), sender_(std::move(sender)), receivers_(std::move(receivers)) {}

  Ends ends_;
  Fd sender_;                  // connected to the first flow's port
  std::vector<Fd> receivers_;  // one for each flow
  std::uint32_t trials_ = 0;
};

/// UDP payload of a frame that is frame_bytes long on the wire.
constexpr std::size_t kOverheadBytes = 14 + 20 + 8 + 4;  // Ethernet, IPv4, UDP, FCS
constexpr std::size_t kMinFrameBytes = 64;
constexpr std::size_t kMaxFrameBytes = 1518;

/// A UDP socket in a namespace: bound to the port of a flow, or connected to that of the first.
Result<Fd> bind_udp(const std::string& netns, const std::string& address, unsigned flow = 0);
Result<Fd> connect_udp(const std::string& netns, const std::string& address);

/// A bound socket that keeps whatever arrives; a receive on it ends after 20 ms without a frame.
Result<Fd> bind_sink(const std::string& netns, const std::string& address, unsigned flow = 0);

/// Frames the sockets have dropped since they were opened because a buffer was full: such loss is
/// the measurement's, not the path's.
Result<std::uint64_t> socket_drops(std::span<const Fd> sockets);

}  // namespace vethd::bench

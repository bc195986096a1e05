// Raw frames in and out of one device, through AF_PACKET.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "tests/system/lib/wait.hpp"

namespace vethd::system_test {

using Frame = std::vector<std::uint8_t>;

/// A broadcast frame of this many bytes, Ethernet header included, with the local experimental
/// EtherType and a pattern that depends on seed. With a VLAN: an in-band 802.1Q tag; with a service
/// VLAN as well, an 802.1ad tag in front of that.
Frame test_frame(std::size_t frame_bytes, std::uint32_t seed,
                 std::optional<std::uint16_t> vlan = {},
                 std::optional<std::uint16_t> service_vlan = {});

/// The seed a test frame was made from; nothing when it is too short to carry one.
std::optional<std::uint32_t> seed_of(const Frame& frame);

/// Sees test frames only. A VLAN tag the kernel took out is put back in.
class PacketSocket {
 public:
  PacketSocket(const std::string& netns, const std::string& ifname);

  Result<void> send(std::span<const std::uint8_t> frame) const;
  /// The next test frame the device received, or nothing within limit.
  [[nodiscard]] std::optional<Frame> receive(milliseconds limit) const;

 private:
  Fd socket_;
};

/// Sends test frames with rising seeds from its own thread until destroyed; a device that is full,
/// down or gone for a while does not stop it.
class FrameSource {
 public:
  enum class Pace { as_fast_as_possible, one_per_millisecond };
  FrameSource(const std::string& netns, const std::string& ifname, Pace pace);
  FrameSource(const FrameSource&) = delete;
  FrameSource& operator=(const FrameSource&) = delete;
  ~FrameSource();

 private:
  void run(Pace pace);

  PacketSocket socket_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace vethd::system_test

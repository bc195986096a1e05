// A network device that AF_XDP takes frames from before its own stack sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/core/result.hpp"
#include "daemon/netns/membership.hpp"
#include "daemon/netns/namespace.hpp"
#include "xdp/redirect.hpp"
#include "xdp/steering.hpp"
#include "xdp/xsk.hpp"

namespace vethd {

struct NicSetup {
  int ifindex = 0;
  bool software = false;  // no card: its frames may have their outer VLAN tag beside them
  std::uint32_t queues = 1;
  std::optional<XskMode> mode;  // left out: the best that can be had
  Steering steer;
  XskSetup socket;  // of every queue; queue and mode are filled in
  // By queue: the chunks it begins with, from the pool of the worker that will own it.
  std::span<const std::vector<FrameAddr>> first_chunks;
};

/// The sockets on its queues and the program that steers frames into them. All of it goes with this
/// object, or with the process, SIGKILL included; the device itself is the user's.
class Nic {
 public:
  /// The device is up, and receives on no queue beyond those.
  /// Errors  no mode asked for can be had; why.
  static Result<Nic> open(const Netns& ns, const NicSetup& setup, std::span<std::byte> memory);

  /// Frames come from here on: once somebody gives the sockets memory to receive into.
  Result<void> receive();

  [[nodiscard]] std::size_t queues() const { return sockets_.size(); }
  [[nodiscard]] Xsk& socket(std::size_t queue) { return *sockets_[queue]; }

  [[nodiscard]] XskMode mode() const { return mode_; }
  /// Why better modes were not to be had, where the best was asked for.
  [[nodiscard]] const std::vector<std::string>& refused() const { return refused_; }
  /// False once somebody has detached the program by force, or the device is gone.
  [[nodiscard]] bool attached() const { return redirect_.attached(); }
  [[nodiscard]] bool multi_buffer() const { return multi_buffer_; }
  /// Why a VLAN tag beside a frame of a device in software is not seen; empty: it is.
  [[nodiscard]] const std::string& loses_tags() const { return loses_tags_; }
  /// Of all sockets; nothing once they are closed.
  [[nodiscard]] Result<XskStatistics> statistics() const;

  /// Closes the sockets, so that the kernel has done with the memory. Frames go to the stack again.
  void close() { sockets_.clear(); }

 private:
  Nic(XskMode mode, bool multi_buffer, Redirect redirect, DeviceMembership membership)
      : mode_(mode),
        multi_buffer_(multi_buffer),
        redirect_(std::move(redirect)),
        membership_(std::move(membership)) {}
  static Result<Nic> open_in(XskMode mode, const Netns& ns, const NicSetup& setup,
                             std::span<std::byte> memory);

  XskMode mode_;
  bool multi_buffer_;
  std::vector<std::string> refused_;
  std::string loses_tags_;
  Redirect redirect_;
  DeviceMembership membership_;
  std::vector<std::unique_ptr<Xsk>> sockets_;
};

}  // namespace vethd

// A loaded XDP program on a device.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// By its id; "unknown" where we may not look at it. The kernel keeps 15 bytes of a name.
std::string xdp_program_name(std::uint32_t id);

enum class XdpAttach : std::uint8_t {
  native,  // the driver calls it, before there is an sk_buff
  generic  // the stack calls it, on an sk_buff
};

/// A BPF link: holds the program, and takes it off the device when it goes, with this object or
/// with the process, SIGKILL included. No dispatcher: a device has one program.
///
/// Shape   the device may be renamed or moved to another namespace: the program moves with it.
/// Errors  the device has a program already, which is named; what native XDP asks of a device.
class XdpLink {
 public:
  /// name: the program's, for messages.
  static Result<XdpLink> attach(const Netns& ns, int ifindex, int program_fd,
                                const std::string& name, XdpAttach how);

  /// False once somebody has detached it by force, or the device is gone.
  [[nodiscard]] bool attached() const;

 private:
  explicit XdpLink(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace vethd

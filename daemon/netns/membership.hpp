// What a device receives beyond its own address, for as long as somebody wants it to.
#pragma once

#include <string>
#include <utility>

#include "daemon/core/fd.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// Memberships of a packet socket: the device forgets them as the socket closes, at the latest with
/// the process, SIGKILL included. It counts them beside those of others, and `ip -d link` shows the
/// counts, not the flag PROMISC.
///
/// Shape    one device; a device that leaves its namespace loses them.
/// Errors   the setsockopt's: ENODEV for no such device, EPERM without CAP_NET_RAW.
class DeviceMembership {
 public:
  static Result<DeviceMembership> open(const Netns& ns, int ifindex);

  /// Every frame there is.
  Result<void> add_promiscuous();
  /// Frames to this address. A device without a filter for further ones becomes promiscuous.
  Result<void> add_unicast(const MacAddress& mac);
  /// Frames to any group.
  Result<void> add_all_multicast();

 private:
  DeviceMembership(Fd socket, int ifindex, std::string device)
      : socket_(std::move(socket)), ifindex_(ifindex), device_(std::move(device)) {}
  Result<void> add(unsigned short type, const MacAddress& mac, const std::string& doing);

  Fd socket_;
  int ifindex_;
  std::string device_;  // for messages
};

}  // namespace vethd

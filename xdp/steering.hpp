// Which frames of a device go to its AF_XDP sockets; the stack keeps the rest.
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/core/mac.hpp"

namespace vethd {

/// Nothing set: all of them. With mac and vlan both must fit.
struct Steering {
  std::optional<MacAddress> mac = std::nullopt;      // the destination
  std::optional<std::uint16_t> vlan = std::nullopt;  // of the outer tag, 802.1Q or 802.1ad
  bool multicast = false;  // group destinations beside mac, broadcast among them

  friend bool operator==(const Steering&, const Steering&) = default;
};

}  // namespace vethd

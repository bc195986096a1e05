// What a refused AF_XDP bind means, and what to do about it.
#pragma once

#include <cstdint>
#include <string>

#include "xdp/xsk_mode.hpp"

namespace vethd {

/// What was asked of which device. Facts that could not be had are empty or 0.
struct BindFacts {
  XskMode mode{};
  bool multi_buffer = false;
  std::uint32_t queue = 0;
  std::uint32_t queues = 0;        // of the device, the larger of rx and tx
  bool up = true;                  // IFF_UP
  std::uint32_t mtu = 0;           // bytes
  std::string driver = {};         // "virtio_net"
  std::string queue_command = {};  // sets the number of queues, "ethtool -L eth0 combined 2"
};

/// The probable cause, and the remedy. bind(2) gives a number, and drivers mean different things by
/// the same one; facts narrow it down.
std::string bind_hint(int code, const BindFacts& facts);

}  // namespace vethd

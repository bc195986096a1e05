// What every packet socket of the tests does alike.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"

namespace vethd::system_test {

constexpr std::size_t kLargestFrame = 65535 + 14 + 4;  // Ethernet header, a VLAN tag

/// What a packet socket says of a frame, in front of its bytes.
enum class InFront { nothing, vnet_header };

/// Sees everything on one device, and what the kernel says beside it (PACKET_AUXDATA).
/// Errors  std::system_error.
Fd open_packet_socket(const std::string& ifname, int receive_buffer_bytes, InFront in_front);

/// tp_status of a message received, TP_STATUS_*; a VLAN tag that the kernel took out is put back
/// into the frame's bytes.
std::uint32_t take_auxdata(msghdr& message, std::vector<std::uint8_t>& frame);

}  // namespace vethd::system_test

// TCP streams and UDP datagrams whose every byte is checked by the receiver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/result.hpp"

namespace vethd::system_test {

/// Where the transfer goes. The sockets are opened in the two namespaces; the addresses say how the
/// packets travel.
struct Route {
  std::string from_netns;
  std::string to_netns;
  std::string to_address;  // IPv4 or IPv6
};

/// One connection, this many bytes in each direction at the same time. Errors name the first byte
/// range that differs.
Result<void> tcp_both_ways(const Route& route, std::uint64_t bytes_each_way);

/// Datagrams of numbered flows, each from its own source port. The receiver checks length, content
/// and that no flow skips or swaps a number, and acknowledges a round to every flow before the next
/// one is sent, so that nothing may be lost.
struct UdpPlan {
  std::uint32_t flows = 1;
  std::uint32_t rounds = 100;
  std::vector<std::uint32_t> sizes = {100};  // datagram bytes, sent in this order in each round
  std::uint32_t segment_bytes = 0;           // not 0: one UDP_SEGMENT send of all sizes per round
};
Result<void> udp_in_order(const Route& route, const UdpPlan& plan);

}  // namespace vethd::system_test

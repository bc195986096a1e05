// TCP streams and UDP datagrams whose every byte is checked by the receiver.
#pragma once

#include <cstdint>
#include <functional>
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

/// Calls `send` at a moment it chooses, and returns when that is done.
using Hold = std::function<void(const std::function<void()>& send)>;

/// One connection that carries as much in each direction at the same time. The receivers compare
/// every byte with what is due in its place; errors name the first range that differs.
struct TcpPlan {
  std::uint64_t bytes_each_way = 0;
  std::vector<std::size_t> writes = {};  // bytes given to each send in turn, none held back
                                         // (TCP_NODELAY); empty: as many as there are
  Hold held = {};                        // the first segments of both directions are sent in it
};
struct TcpReport {
  std::uint64_t retransmitted = 0;  // segments, both directions together
};
Result<TcpReport> tcp_exchange(const Route& route, const TcpPlan& plan);

/// The same of nothing but a number of bytes.
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

struct Datagram {
  std::uint32_t flow = 0;
  std::uint32_t bytes = 1;
};

/// Datagrams of many flows, each from its own port, that arrive in the order in which they were
/// sent, whatever their flow: they leave by one queue. Both sides know what is due, so flow, length
/// and every byte are checked down to datagrams of one byte. The receiver acknowledges rounds, and
/// no more than two are on their way, so that nothing may be lost.
struct SequencePlan {
  std::uint32_t flows = 1;
  std::uint64_t rounds = 1;
  std::function<std::vector<Datagram>(std::uint64_t round)> round;
  bool gro = false;  // the receiver has UDP_GRO
  Hold held = {};    // the first round is sent in it
};
struct SequenceReport {
  std::uint64_t datagrams = 0;
  std::uint64_t together = 0;  // of those, received in one call with the datagram before
};
Result<SequenceReport> udp_in_sequence(const Route& route, const SequencePlan& plan);

}  // namespace vethd::system_test

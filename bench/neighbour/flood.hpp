// Senders of UDP that never pause, for the busy pair; and how much of a flood has arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/core/result.hpp"

namespace vethd::bench {

struct Flood {
  std::string from_netns;
  std::string to_netns;
  std::string to_address;  // IPv4, of the receiving device
  unsigned senders = 1;    // a thread and a socket each
  std::size_t bytes = 18;  // UDP payload of a send
  unsigned segment = 0;    // UDP_SEGMENT: payload of a frame; 0: each send is a frame
};

/// Sends until a signal ends the process. What arrives meets a bound socket that nobody reads: it
/// is dropped there, as cheaply as a kernel drops, and no reader's CPU time is part of the figures.
///
/// A send that fails later than the first is tried again after a millisecond: the device may have
/// gone down, which is one of the things to be measured.
Result<void> flood(const Flood& flood);

/// What a namespace has received; after segmentation, so that it is the same for a super-frame and
/// for its segments.
struct Carried {
  std::uint64_t datagrams = 0;  // UDP, also those that no socket took
  std::uint64_t ip_octets = 0;  // with IP headers; of a super-frame one
};
Result<Carried> read_carried(const std::string& netns);

}  // namespace vethd::bench

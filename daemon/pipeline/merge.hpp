// Frames of one flow that follow each other become one super-frame: who may, and how. Which frames
// are offered to each other, and when a group is complete, is the caller's business (gro.hpp).
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/gro_rules.hpp"
#include "daemon/pipeline/headers.hpp"

namespace vethd {

// UDP_GRO_CNT_MAX of include/linux/udp.h; a TAP's writer may count on as many.
constexpr std::uint32_t kMaxUdpSegments = 64;

// GRO_LEGACY_MAX_SIZE - 1: what the length of an IPv4 packet can say.
constexpr std::uint32_t kMaxNetworkBytes = 65535;

/// A TCP or UDP frame, looked at for merging.
struct Candidate {
  Frame* frame = nullptr;
  Headers headers;
  bool mergeable = false;  // false: it ends what its flow has gathered, and travels on alone
};

/// Nothing: the frame passes, and nothing held is touched, not even of its own flow: IPv4 options
/// or a bad header checksum, a bad finished L4 checksum, UDP without a checksum or with a length
/// that is not its own.
///
/// A finished checksum is verified, whatever the sender says of it: merging would replace a wrong
/// one by a right one. An unfinished one is trusted if it is that of the L4 header; any other is a
/// tunnel's, and the frame stays alone. So does a super-frame: a TAP's are DODGY.
///
/// Emulates  net/ipv4/af_inet.c: inet_gro_receive(), net/ipv6/ip6_offload.c: ipv6_gro_receive(),
///           tcp4_gro_receive(), udp4_gro_receive() and the like: what they ask of one frame.
/// Shape     data: the frame's linear bytes; headers: found in them.
std::optional<Candidate> examine(Frame& frame, const std::byte* data, const Headers& headers);

/// One or more frames of a flow: the first has the headers, the others follow on its chain.
///
/// Units  bytes; segments are frames.
class Group {
 public:
  /// What became of a frame offered to the group.
  enum class Join : std::uint8_t {
    refused,  // untouched; the group must go before it
    joined,   // on the chain
    closed    // on the chain, and nothing can follow it
  };

  Group() = default;
  /// Of a mergeable frame.
  explicit Group(const Candidate& first) : frame_(first.frame), headers_(first.headers) {}

  /// Whether a frame can be the first: one after which others can come.
  ///
  /// Emulates  the end of tcp_gro_receive().
  static bool can_start(const Candidate& first, const Arena& arena);

  [[nodiscard]] Frame& frame() const { return *frame_; }
  [[nodiscard]] const Headers& headers() const { return headers_; }

  /// Same link-layer header, tags included, addresses, protocol, ports; IPv6: flow label and
  /// extension headers.
  [[nodiscard]] bool same_flow(const Candidate& next, const Arena& arena) const;

  /// A frame of the same flow, in hand, joins if it follows what is here by the rules.
  ///
  /// The kernel compares the whole flag word, and with it header length, reserved bits and window.
  /// Beyond its bounds there are ours: a chain's length, and one home for all its frames.
  ///
  /// Emulates  net/ipv4/tcp_offload.c: tcp_gro_receive(); net/ipv4/udp_offload.c:
  ///           udp_gro_receive_segment(); net/core/gro.c: skb_gro_receive().
  Join join(const Candidate& next, const GroRules& rules, const Arena& arena);

  /// Makes the group a super-frame: lengths, checksums and meta. A frame that stayed alone is left
  /// as it came. Nothing can join after.
  ///
  /// Emulates  inet_gro_complete(), ipv6_gro_complete(), tcp4_gro_complete(),
  ///           udp_gro_complete_segment() and the like.
  void complete(const Arena& arena) const;

 private:
  // Decided by the second frame.
  enum class Ids : std::uint8_t { undecided, incrementing, constant };

  [[nodiscard]] std::uint32_t segments() const { return frame_->frags + 1U; }
  [[nodiscard]] std::uint32_t segment_bytes() const {
    return frame_->linear_bytes() - headers_.payload;
  }
  bool follows_network(const std::byte* held, const std::byte* next, const GroRules& rules);
  [[nodiscard]] bool follows_tcp(const Candidate& next, const Arena& arena,
                                 const GroRules& rules) const;

  Frame* frame_ = nullptr;
  Headers headers_;
  Ids ids_ = Ids::undecided;
};

}  // namespace vethd

// A super-frame becomes the plain frames it stands for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/checksum.hpp"

namespace vethd {

/// What the segments' IPv4 ids are: a vnet header cannot say it.
enum class Ipv4Ids : std::uint8_t {
  incrementing,  // the super-frame's, + 1, + 2, …: what the kernel writes for TCP and UDP
  constant       // the super-frame's: what it writes under SKB_GSO_TCP_FIXEDID
};

/// For endpoints that take no super-frames; until there is one, tests split with it what GRO
/// merges.
///
/// Writes segment after segment, each a whole frame with finished checksums, in one pass over the
/// payload.
///
/// The L4 header is where csum_start says, so IPv4 options and any IPv6 extension headers go along.
/// Its checksum field holds the sum of the pseudo-header, which is corrected for the length, not
/// computed: it stays right behind a routing header, and a wrong one stays wrong.
/// A UDP super-frame's sender has as a rule set id 0; its segments are then 0, 1, 2, …
///
/// Emulates  net/ipv4/tcp_offload.c: tcp_gso_segment(); net/ipv4/udp_offload.c:
///           __udp_gso_segment(); net/ipv4/af_inet.c: inet_gso_segment(), and those of IPv6.
/// Shape     at least one segment; no more than payload / gso_size, rounded up. The frame stays
///           where it is, unchanged, until the last is written.
class Segmenter {
 public:
  /// Nothing if the frame is no super-frame that can be split: of a type this does not know,
  /// without an unfinished checksum, or with headers that do not lie in its linear bytes.
  static std::optional<Segmenter> of(const Frame& frame, const Arena& arena, Ipv4Ids ids);

  [[nodiscard]] std::uint32_t segments() const;
  /// The longest of the segments, the first.
  [[nodiscard]] std::uint32_t max_bytes() const;

  [[nodiscard]] bool done() const { return index_ > 0 && left_ == 0; }
  /// Writes the next segment, of at most max_bytes(), and returns its bytes.
  std::uint32_t write(std::byte* to);

 private:
  Segmenter(const Frame& frame, const Arena& arena, Ipv4Ids ids) noexcept;
  [[nodiscard]] bool find_headers();
  [[nodiscard]] Wsum copy_payload(std::byte* to, std::uint32_t bytes);
  void write_network_header(std::byte* ip, std::uint32_t bytes) const;
  void write_tcp_header(std::byte* tcp, bool last) const;

  const Arena* arena_;
  const Frame* frame_;  // the super-frame
  const std::byte* data_;
  Headers headers_;
  Ipv4Ids ids_;
  std::uint32_t segment_bytes_;   // payload of each segment but the last
  std::uint32_t index_ = 0;       // of the segment to be written
  std::uint32_t left_ = 0;        // payload not yet written
  const Frame* piece_ = nullptr;  // whose payload is being read, nullptr: the linear bytes
  std::uint32_t piece_at_ = 0;    // offset into it
};

}  // namespace vethd

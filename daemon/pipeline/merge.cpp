#include "daemon/pipeline/merge.hpp"

#include <cstring>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

constexpr std::uint8_t kIpv4NoOptions = 0x45;
constexpr std::uint16_t kIpv4Reserved = 0x8000;
constexpr std::uint16_t kIpv4DontFragment = 0x4000;
constexpr std::uint32_t kIpv6TrafficClass = 0x0ff00000;

// The fourth word of a TCP header: header length, reserved bits, flags, window.
constexpr std::uint32_t kTcpFin = 0x00010000;
constexpr std::uint32_t kTcpSyn = 0x00020000;
constexpr std::uint32_t kTcpRst = 0x00040000;
constexpr std::uint32_t kTcpPsh = 0x00080000;
constexpr std::uint32_t kTcpUrg = 0x00200000;
constexpr std::uint32_t kTcpCwr = 0x00800000;
constexpr std::uint32_t kTcpLast = kTcpUrg | kTcpPsh | kTcpRst | kTcpSyn | kTcpFin;

std::uint32_t tcp_flag_word(const std::byte* tcp) { return load_be32(tcp + 12); }

bool same(const std::byte* a, const std::byte* b, std::size_t bytes) {
  return std::memcmp(a, b, bytes) == 0;
}

std::uint16_t check_offset(const Headers& headers) {
  return headers.tcp ? kTcpCheckOffset : kUdpCheckOffset;
}

std::uint32_t payload_bytes(const Candidate& candidate) {
  return candidate.frame->len - candidate.headers.payload;
}

}  // namespace

std::optional<Candidate> examine(Frame& frame, const std::byte* data, const Headers& headers) {
  const std::byte* const ip = data + headers.l3;
  const std::uint32_t l3_bytes = frame.len - headers.l3;
  bool mergeable = frame.meta.gso_type == 0 && frame.frags == 0;
  if (headers.ipv6) {
    mergeable = mergeable && load_be16(ip + 4) == l3_bytes - kIpv6HeaderBytes;
  } else {
    if (load8(ip) != kIpv4NoOptions) return std::nullopt;
    if (csum_fold(csum_partial(ip, kIpv4HeaderBytes)) != 0xffff) return std::nullopt;
    mergeable =
        mergeable && load_be16(ip + 2) == l3_bytes && (load_be16(ip + 6) & kIpv4Reserved) == 0;
  }
  if (!headers.tcp) {
    const std::uint16_t udp_bytes = load_be16(data + headers.l4 + 4);
    if (load_be16(data + headers.l4 + kUdpCheckOffset) == 0) return std::nullopt;
    if (udp_bytes <= kUdpHeaderBytes || udp_bytes != frame.len - headers.l4) return std::nullopt;
  }
  if (frame.meta.ip_summed == IpSummed::partial)
    mergeable = mergeable && frame.meta.csum_start == headers.l4 &&
                frame.meta.csum_offset == check_offset(headers);
  else if (mergeable && !l4_checksum_holds(data, headers, frame.len))
    return std::nullopt;
  return Candidate{.frame = &frame, .headers = headers, .mergeable = mergeable};
}

bool Group::can_start(const Candidate& first, const Arena& arena) {
  if (!first.mergeable) return false;
  if (!first.headers.tcp) return true;
  const std::byte* const tcp = arena.bytes_of(*first.frame) + first.headers.l4;
  return payload_bytes(first) > 0 && (tcp_flag_word(tcp) & kTcpLast) == 0;
}

bool Group::same_flow(const Candidate& next, const Arena& arena) const {
  const Headers& other = next.headers;
  if (headers_.l3 != other.l3 || headers_.l4 != other.l4 || headers_.ipv6 != other.ipv6 ||
      headers_.tcp != other.tcp)
    return false;
  const std::byte* const a = arena.bytes_of(*frame_);
  const std::byte* const b = arena.bytes_of(*next.frame);
  if (!same(a, b, headers_.l3) || !same(a + headers_.l4, b + headers_.l4, 4)) return false;
  const std::byte* const ip_a = a + headers_.l3;
  const std::byte* const ip_b = b + headers_.l3;
  if (!headers_.ipv6) return same(ip_a + 12, ip_b + 12, 8);
  // Next header; then addresses and extension headers.
  return ((load_be32(ip_a) ^ load_be32(ip_b)) & ~kIpv6TrafficClass) == 0 &&
         load8(ip_a + 6) == load8(ip_b + 6) &&
         same(ip_a + 8, ip_b + 8, headers_.l4 - headers_.l3 - 8U);
}

/// Emulates  include/net/gro.h: inet_gro_flush(), ipv6_gro_flush().
bool Group::follows_network(const std::byte* held, const std::byte* next, const GroRules& rules) {
  if (headers_.ipv6)  // traffic class, hop limit
    return load_be32(held) == load_be32(next) && load8(held + 7) == load8(next + 7);
  if (load8(held + 1) != load8(next + 1)) return false;  // TOS
  if (load8(held + 8) != load8(next + 8)) return false;  // TTL
  const bool df = (load_be16(next + 6) & kIpv4DontFragment) != 0;
  if (df != ((load_be16(held + 6) & kIpv4DontFragment) != 0)) return false;
  const auto ahead = static_cast<std::uint16_t>(load_be16(next + 4) - load_be16(held + 4));
  if (ids_ == Ids::undecided)
    ids_ = ahead == 0 && (df || !rules.constant_id_needs_df) ? Ids::constant : Ids::incrementing;
  return ahead == (ids_ == Ids::constant ? 0 : segments());
}

bool Group::follows_tcp(const Candidate& next, const Arena& arena, const GroRules& rules) const {
  const std::byte* const a = arena.bytes_of(*frame_) + headers_.l4;
  const std::byte* const b = arena.bytes_of(*next.frame) + headers_.l4;
  const std::uint32_t flags = tcp_flag_word(b);
  const std::uint32_t ignored = kTcpFin | kTcpPsh | (rules.cwr_compared ? 0 : kTcpCwr);
  if ((flags & kTcpCwr) != 0 || ((flags ^ tcp_flag_word(a)) & ~ignored) != 0) return false;
  if (load_be32(a + 8) != load_be32(b + 8)) return false;  // ack_seq
  if (!same(a + kTcpHeaderBytes, b + kTcpHeaderBytes,
            headers_.payload - headers_.l4 - kTcpHeaderBytes))  // options
    return false;
  return load_be32(b + 4) == load_be32(a + 4) + (frame_->len - headers_.payload);  // seq
}

Group::Join Group::join(const Candidate& next, const GroRules& rules, const Arena& arena) {
  const std::uint32_t payload = payload_bytes(next);
  if (!next.mergeable || payload == 0 || payload > segment_bytes()) return Join::refused;
  if (frame_->len - headers_.l3 + payload > kMaxNetworkBytes) return Join::refused;
  if (frame_->frags >= kMaxFragments || frame_->home != next.frame->home) return Join::refused;

  std::byte* const a = arena.bytes_of(*frame_);
  const std::byte* const b = arena.bytes_of(*next.frame);
  if (headers_.tcp && !follows_tcp(next, arena, rules)) return Join::refused;
  if ((headers_.tcp || rules.udp_network_compared) &&
      !follows_network(a + headers_.l3, b + headers_.l3, rules))
    return Join::refused;

  bool last = payload < segment_bytes();
  if (headers_.tcp) {
    const std::uint32_t flags = tcp_flag_word(b + headers_.l4);
    std::byte* const held = a + headers_.l4;
    store_be32(held + 12, tcp_flag_word(held) | (flags & (kTcpFin | kTcpPsh)));
    last = last || (flags & kTcpLast) != 0;
  }
  chain(*frame_, *next.frame, next.headers.payload);
  if (!headers_.tcp) last = last || segments() >= kMaxUdpSegments;
  return last ? Join::closed : Join::joined;
}

void Group::complete(const Arena& arena) const {
  if (frame_->frags == 0) return;
  std::byte* const data = arena.bytes_of(*frame_);
  std::byte* const ip = data + headers_.l3;
  std::byte* const l4 = data + headers_.l4;
  const std::uint32_t len = broken(Stage::gro) ? frame_->linear_bytes() : frame_->len;
  const std::uint32_t l4_bytes = len - headers_.l4;
  if (headers_.ipv6) {
    store_be16(ip + 4, static_cast<std::uint16_t>(len - headers_.l3 - kIpv6HeaderBytes));
  } else {
    store_be16(ip + 2, static_cast<std::uint16_t>(len - headers_.l3));
    store_be16(ip + 10, ipv4_checksum(ip, kIpv4HeaderBytes));
  }
  FrameMeta& meta = frame_->meta;
  if (headers_.tcp) {
    const bool cwr = (tcp_flag_word(l4) & kTcpCwr) != 0;
    meta.gso_type =
        static_cast<std::uint8_t>((headers_.ipv6 ? kGsoTcpv6 : kGsoTcpv4) | (cwr ? kGsoEcn : 0));
  } else {
    store_be16(l4 + 4, static_cast<std::uint16_t>(l4_bytes));
    meta.gso_type = kGsoUdpL4;
  }
  store_be16(l4 + check_offset(headers_), csum_fold(pseudo_header_sum(data, headers_, l4_bytes)));
  meta.gso_size = static_cast<std::uint16_t>(segment_bytes());
  meta.hdr_len = headers_.payload;
  meta.ip_summed = IpSummed::partial;
  meta.csum_start = headers_.l4;
  meta.csum_offset = check_offset(headers_);
}

}  // namespace vethd

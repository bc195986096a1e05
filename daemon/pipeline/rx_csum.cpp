#include "daemon/pipeline/rx_csum.hpp"

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cstdint>
#include <cstring>
#include <optional>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/encapsulation.hpp"
#include "daemon/pipeline/headers.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

// Headers looked at in one frame, each tag and label one of them; as many as the flow dissector
// looks at (MAX_FLOW_DISSECT_HDRS).
constexpr int kMaxLayers = 15;

constexpr std::uint32_t kSctpHeaderBytes = 12;
constexpr std::uint32_t kSctpCheckOffset = 8;

/// A TCP or UDP packet, and what it sums.
struct Segment {
  Headers headers;
  std::uint32_t bytes = 0;  // from the L4 header on

  [[nodiscard]] std::uint16_t check_offset() const {
    return headers.tcp ? kTcpCheckOffset : kUdpCheckOffset;
  }
  [[nodiscard]] std::uint16_t field(const std::byte* data) const {
    return load_be16(data + headers.l4 + check_offset());
  }
  [[nodiscard]] bool is_unfinished(const std::byte* data) const {
    return field(data) == csum_fold(pseudo_header_sum(data, headers, bytes));
  }
};

/// Bytes of an IP packet that are behind its header and extension headers; nothing for one that
/// ends outside of `end`.
std::optional<std::uint32_t> payload_bytes(const std::byte* data, const NetworkHeader& network,
                                           std::uint32_t payload, std::uint32_t end) {
  const std::byte* const ip = data + network.offset;
  const std::uint32_t packet =
      network.protocol == kEthPIpv6 ? kIpv6HeaderBytes + load_be16(ip + 4) : load_be16(ip + 2);
  const std::uint32_t header = payload - network.offset;
  if (packet < header || network.offset + packet > end) return std::nullopt;
  return packet - header;
}

void mark(Frame& frame, const Segment& segment) {
  frame.meta.ip_summed = IpSummed::partial;
  frame.meta.csum_start = segment.headers.l4;
  frame.meta.csum_offset = segment.check_offset();
}

/// Emulates  lco_csum() of include/linux/skbuff.h: the checksum of an outer packet counts on that
/// of
///           the inner one being finished. Whether this one does.
bool counts_on(const std::byte* data, const Segment& outer, const Segment& inner) {
  const std::uint32_t between = std::uint32_t{inner.headers.l4} - outer.headers.l4;
  Wsum sum = csum_partial(data + outer.headers.l4, between);
  sum = csum_add(sum, pseudo_header_sum(data, outer.headers, outer.bytes));
  sum = csum_block_add(sum, csum_of(static_cast<std::uint16_t>(~inner.field(data))), between);
  return csum_fold(sum) == 0xffff;
}

/// Emulates  net/core/dev.c: skb_crc32c_csum_help(). A sender leaves zero to a card.
void finish_sctp(const Frame& frame, const Arena& arena, std::uint32_t at, std::uint32_t bytes) {
  const std::uint32_t linear = frame.linear_bytes();
  std::byte* const data = arena.bytes_of(frame);
  if (bytes < kSctpHeaderBytes || linear < at + kSctpHeaderBytes) return;
  if (load_be32(data + at + kSctpCheckOffset) != 0) return;
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;  // RFC 9260, B
  std::uint32_t part = std::min(bytes, linear - at);
  crc.process_bytes(data + at, part);
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next) {
    bytes -= part;
    part = std::min(bytes, piece->len);
    crc.process_bytes(arena.bytes_of(*piece), part);
  }
  // Its own bytes come in the order of a little-endian number.
  store_be32(data + at + kSctpCheckOffset,
             std::byteswap(static_cast<std::uint32_t>(crc.checksum())));
}

/// From one header to the next, outermost first.
class Walk {
 public:
  Walk(Frame& frame, const Arena& arena)
      : frame_(frame),
        arena_(arena),
        data_(arena.bytes_of(frame)),
        linear_(frame.linear_bytes()),
        end_(frame.len) {}

  void from(std::optional<Layer> layer) {
    for (int i = 0; layer && i < kMaxLayers; ++i) layer = step(*layer);
  }
  /// What is behind the header of a UDP packet that has been judged.
  [[nodiscard]] std::optional<Layer> into(const Segment& udp) {
    end_ = udp.headers.l4 + udp.bytes;
    outer_ = udp;
    return layer_in_udp(data_, linear_, udp.headers.payload, end_);
  }

 private:
  std::optional<Layer> step(const Layer& layer) {
    const bool is_ip = layer.kind == Layer::Kind::ether_type &&
                       (layer.protocol == kEthPIp || layer.protocol == kEthPIpv6);
    if (!is_ip) return next_layer(data_, linear_, layer);
    if (layer.at > linear_) return std::nullopt;
    const NetworkHeader network{.offset = static_cast<std::uint16_t>(layer.at),
                                .protocol = layer.protocol};
    const auto found = find_ip_payload(data_, linear_, network);
    if (!found) return std::nullopt;
    const auto bytes = payload_bytes(data_, network, found->offset, end_);
    if (!bytes) return std::nullopt;
    end_ = found->offset + *bytes;
    if (const auto headers = find_l4_header(data_, linear_, network, *found))
      return judge({.headers = *headers, .bytes = *bytes});
    if (found->protocol == kIpProtoSctp && !has_outer_checksum())
      finish_sctp(frame_, arena_, found->offset, *bytes);
    return Layer{
        .kind = Layer::Kind::ip_protocol, .protocol = found->protocol, .at = found->offset};
  }

  /// Of an sk_buff one checksum at most is unfinished. Where an outer one seems so, too, and counts
  /// on the inner one, it is right by chance.
  std::optional<Layer> judge(const Segment& segment) {
    if (segment.is_unfinished(data_) &&
        (!has_outer_checksum() || counts_on(data_, *outer_, segment)))
      mark(frame_, segment);
    return segment.headers.tcp ? std::nullopt : into(segment);
  }

  [[nodiscard]] bool has_outer_checksum() const { return outer_ && outer_->field(data_) != 0; }

  Frame& frame_;
  const Arena& arena_;
  const std::byte* data_;
  std::uint32_t linear_;
  std::uint32_t end_;             // of the packet that all further ones are in
  std::optional<Segment> outer_;  // the last UDP packet around those
};

}  // namespace

void mark_unfinished_checksum(Frame& frame, const Arena& arena) {
  const std::byte* const data = arena.bytes_of(frame);
  const auto headers = find_headers(data, frame.linear_bytes());
  if (!headers) return Walk(frame, arena).from(Layer{});
  const NetworkHeader network{.offset = headers->l3,
                              .protocol = headers->ipv6 ? kEthPIpv6 : kEthPIp};
  const auto bytes = payload_bytes(data, network, headers->l4, frame.len);
  if (!bytes) return;
  const Segment segment{.headers = *headers, .bytes = *bytes};
  if (segment.is_unfinished(data)) mark(frame, segment);
  if (headers->tcp) return;
  Walk walk(frame, arena);
  walk.from(walk.into(segment));
}

}  // namespace vethd

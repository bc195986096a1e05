#include "tests/sim/packet.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace vethd::sim {
namespace {

constexpr std::uint32_t kMagic = 0x76657468;  // "veth"

// include/uapi/linux/virtio_net.h
constexpr std::uint8_t kGsoTcpv4 = 1;
constexpr std::uint8_t kGsoTcpv6 = 4;
constexpr std::uint8_t kGsoUdpL4 = 5;
constexpr std::uint8_t kGsoEcn = 0x80;

constexpr std::uint8_t kTcpFin = 0x01;
constexpr std::uint8_t kTcpPsh = 0x08;
constexpr std::uint8_t kTcpAck = 0x10;
constexpr std::uint8_t kTcpCwr = 0x80;

/// Where a stream's headers are; its id says it.
struct Layout {
  explicit Layout(std::uint32_t flow_id)
      : ipv6((flow_id & 1) != 0), tagged((flow_id & 2) != 0), tcp((flow_id & 4) != 0) {}
  bool ipv6, tagged, tcp;
  [[nodiscard]] std::uint32_t l3() const { return tagged ? 18 : 14; }
  [[nodiscard]] std::uint32_t l4() const { return l3() + (ipv6 ? 40 : 20); }
  [[nodiscard]] std::uint32_t payload() const { return l4() + (tcp ? 20 : 8); }
  [[nodiscard]] std::uint32_t check() const { return l4() + check_offset(); }
  [[nodiscard]] std::uint16_t check_offset() const { return tcp ? 16 : 6; }
  [[nodiscard]] std::uint8_t gso_type() const {
    if (!tcp) return kGsoUdpL4;
    return ipv6 ? kGsoTcpv6 : kGsoTcpv4;
  }
};
constexpr std::uint32_t kMaxHeaders = 18 + 40 + 20;

/// IPv4 ids of a stream: every fourth says 0 and DF, as connected sockets do.
bool constant_id(std::uint32_t flow_id) { return (flow_id & 8) != 0; }

unsigned get(const std::byte* at) { return std::to_integer<unsigned>(*at); }
unsigned get16(const std::byte* at) { return get(at) << 8 | get(at + 1); }
std::uint32_t get32(const std::byte* at) { return get16(at) << 16 | get16(at + 2); }
void put16(std::byte* at, std::uint32_t value) {
  at[0] = static_cast<std::byte>(value >> 8 & 0xff);
  at[1] = static_cast<std::byte>(value & 0xff);
}
void put32(std::byte* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

/// RFC 1071, not complemented.
std::uint32_t sum_of(std::span<const std::byte> bytes, std::uint32_t sum = 0) {
  std::uint64_t wide = sum;
  std::size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) wide += get16(&bytes[i]);
  if (i < bytes.size()) wide += get(&bytes[i]) << 8;
  while (wide >> 16 != 0) wide = (wide & 0xffff) + (wide >> 16);
  return static_cast<std::uint32_t>(wide);
}

std::uint32_t pseudo_sum(const Layout& layout, std::span<const std::byte> frame) {
  const std::uint32_t addresses = layout.ipv6 ? 32 : 8;
  const auto l4_bytes = static_cast<std::uint32_t>(frame.size()) - layout.l4();
  return sum_of(frame.subspan(layout.l4() - addresses, addresses),
                l4_bytes + (layout.tcp ? 6 : 17));
}

/// Appends in network order.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  Writer& u8(std::uint32_t value) {
    if (at_ < out_.size()) out_[at_++] = static_cast<std::byte>(value & 0xff);
    return *this;
  }
  Writer& u16(std::uint32_t value) { return u8(value >> 8).u8(value); }
  Writer& u32(std::uint32_t value) { return u16(value >> 16).u16(value); }
  Writer& zero(int bytes) {
    for (int i = 0; i < bytes; ++i) u8(0);
    return *this;
  }

 private:
  std::span<std::byte> out_;
  std::size_t at_ = 0;
};

/// Up to the L4 header, which begins with the ports.
Writer write_headers(const Flow& flow, const Layout& layout, std::uint32_t protocol,
                     std::uint32_t id, std::span<std::byte> frame) {
  const auto length = static_cast<std::uint32_t>(frame.size());
  // Both directions have the same flows, so that RFS finds the reverse of one.
  const bool back = entry_of(flow.path) == Side::b;
  const std::uint32_t pair = pair_of(flow.path).value;
  Writer out(frame);
  out.u16(0x0200).u32(back ? 1 : 2).u16(0x0200).u32(back ? 2 : 1);
  if (layout.tagged) out.u16(0x8100).u16(7);
  if (layout.ipv6) {
    out.u16(0x86dd).u32(0x60000000).u16(length - layout.l4()).u8(protocol).u8(64);
    out.u32(0xfd000000).zero(8).u32(back ? 99 : 1 + pair);
    out.u32(0xfd000000).zero(8).u32(back ? 1 + pair : 99);
  } else {
    out.u16(0x0800).u16(0x4500).u16(length - layout.l3()).u16(id);
    out.u16(constant_id(flow.id) ? 0x4000 : 0).u8(64).u8(protocol).u16(0);
    out.u32(back ? 0x0a000063 : 0x0a000001 + pair).u32(back ? 0x0a000001 + pair : 0x0a000063);
  }
  out.u16(back ? 53 : 1024 + flow.id).u16(back ? 1024 + flow.id : 53);
  return out;
}

/// As good as random, without the cost.
void fill(std::uint64_t sequence, std::span<std::byte> bytes) {
  static const auto kPattern = [] {
    std::array<std::byte, 1 << 17> pattern{};
    Random random(1);
    for (std::byte& byte : pattern) byte = static_cast<std::byte>(random.next() & 0xff);
    return pattern;
  }();
  std::memcpy(bytes.data(), &kPattern[sequence * 7 & 0xffff], bytes.size());
}

std::uint32_t hash_of(std::span<const std::byte> bytes, std::uint64_t hash = 0x2545f4914f6cdd1d) {
  std::size_t i = 0;
  for (; i < bytes.size(); i += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[i], std::min(sizeof word, bytes.size() - i));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
  }
  return static_cast<std::uint32_t>(hash ^ bytes.size());
}

/// Of a stream's frame, whatever its L4 checksum: finished or not depends on the way it took.
std::uint32_t hash_of(const Layout& layout, std::span<const std::byte> headers,
                      std::span<const std::byte> payload) {
  std::array<std::byte, kMaxHeaders> copy;
  std::ranges::copy(headers, copy.begin());
  put16(&copy[layout.check()], 0);
  return hash_of(payload.first(payload.size() - sizeof(Record)),
                 hash_of(std::span(copy).first(headers.size())));
}

std::optional<Record> record_of(std::span<const std::byte> bytes) {
  Record record;
  if (bytes.size() < sizeof record) return std::nullopt;
  std::memcpy(&record, bytes.data() + bytes.size() - sizeof record, sizeof record);
  if (record.magic != kMagic) return std::nullopt;
  return record;
}

/// What the headers of a super-frame become for one of its segments; headers: a copy of its own.
void make_segment_headers(const Layout& layout, std::uint32_t flow_id, std::uint32_t index,
                          std::uint32_t offset, std::uint32_t payload, bool last,
                          std::span<std::byte> headers) {
  std::byte* const ip = &headers[layout.l3()];
  std::byte* const l4 = &headers[layout.l4()];
  const std::uint32_t l4_bytes = layout.payload() - layout.l4() + payload;
  if (layout.ipv6) {
    put16(ip + 4, l4_bytes);
  } else {
    put16(ip + 2, 20 + l4_bytes);
    if (!constant_id(flow_id)) put16(ip + 4, get16(ip + 4) + index);
    put16(ip + 10, 0);
    put16(ip + 10, ~sum_of({ip, 20}));
  }
  if (!layout.tcp) return put16(l4 + 4, l4_bytes);
  put32(l4 + 4, get32(l4 + 4) + offset);
  unsigned flags = get(l4 + 13);
  if (index > 0) flags &= ~unsigned{kTcpCwr};
  if (!last) flags &= ~unsigned{kTcpPsh | kTcpFin};
  l4[13] = static_cast<std::byte>(flags);
}

/// Splitting counts the ids of a stream that has none.
void forget_ids(const Layout& layout, std::uint32_t flow_id, std::span<std::byte> headers) {
  if (layout.ipv6 || !constant_id(flow_id)) return;
  std::byte* const ip = &headers[layout.l3()];
  put16(ip + 4, 0);
  put16(ip + 10, 0);
  put16(ip + 10, ~sum_of({ip, 20}));
}

std::string_view inspect_plain(std::span<const std::byte> frame, const VnetHeader& header,
                               bool plain_frames, const std::function<void(const Record&)>& visit) {
  const std::optional<Record> record = record_of(frame);
  if (!record) return "a frame arrives with its last bytes";
  if (record->frame_bytes != frame.size()) return "a frame arrives as long as it was";
  const bool finished = plain_frames && record->arrives.flags == kVnetNeedsCsum;
  const VnetHeader expected = finished ? VnetHeader{} : record->arrives;
  if (std::memcmp(&expected, &header, kVnetBytes) != 0)
    return "checksum and segmentation are described as they were";
  if (record->flow < kFirstStream) {
    if (!finished && record->checksum != hash_of(frame.first(frame.size() - sizeof(Record))))
      return "a frame arrives with the bytes it had";
  } else {
    const Layout layout(record->flow);
    std::array<std::byte, kMaxHeaders> copy;
    std::ranges::copy(frame.first(layout.payload()), copy.begin());
    const std::span headers = std::span(copy).first(layout.payload());
    if (plain_frames) forget_ids(layout, record->flow, headers);
    if (record->checksum != hash_of(layout, headers, frame.subspan(layout.payload())))
      return "a stream's frame arrives with the bytes it had";
    const std::uint32_t pseudo = pseudo_sum(layout, frame);
    if (header.flags == kVnetNeedsCsum) {
      if (get16(&frame[layout.check()]) != pseudo) return "an unfinished checksum stays as it was";
    } else {
      const bool right = sum_of(frame.subspan(layout.l4()), pseudo) == 0xffff;
      if (right == (record->damaged != 0))
        return right ? "a wrong checksum stays wrong" : "a finished checksum stays right";
    }
  }
  visit(*record);
  return {};
}

std::string_view inspect_super_frame(std::span<const std::byte> frame, const VnetHeader& header,
                                     const Layout& layout, std::uint32_t flow_id,
                                     const std::function<void(const Record&)>& visit) {
  if (header.flags != kVnetNeedsCsum || header.csum_start != layout.l4() ||
      header.csum_offset != layout.check_offset() || header.hdr_len != layout.payload())
    return "a super-frame says where its checksum is to be";
  const bool cwr = layout.tcp && (get(&frame[layout.l4() + 13]) & kTcpCwr) != 0;
  if (header.gso_type != (layout.gso_type() | (cwr ? kGsoEcn : 0)))
    return "a super-frame is of its protocol's type";
  if (header.gso_size == 0 || frame.size() <= layout.payload() + header.gso_size)
    return "a super-frame has more than one segment";
  const std::byte* const ip = &frame[layout.l3()];
  const std::size_t said = layout.ipv6 ? layout.l4() + get16(ip + 4) : layout.l3() + get16(ip + 2);
  if (said != frame.size()) return "a super-frame says its own length";
  if (!layout.ipv6 && sum_of({ip, 20}) != 0xffff) return "a super-frame's IPv4 header sums up";
  if (!layout.tcp && get16(&frame[layout.l4() + 4]) != frame.size() - layout.l4())
    return "a super-datagram says its own length";
  if (get16(&frame[layout.check()]) != pseudo_sum(layout, frame))
    return "a super-frame has the sum of its pseudo-header";

  std::span<const std::byte> payload = frame.subspan(layout.payload());
  std::array<std::byte, kMaxHeaders> headers;
  std::uint32_t offset = 0;
  for (std::uint32_t index = 0; !payload.empty(); ++index) {
    const std::size_t bytes = std::min<std::size_t>(header.gso_size, payload.size());
    const std::span part = payload.first(bytes);
    payload = payload.subspan(bytes);
    std::ranges::copy(frame.first(layout.payload()), headers.begin());
    const std::span own = std::span(headers).first(layout.payload());
    make_segment_headers(layout, flow_id, index, offset, static_cast<std::uint32_t>(bytes),
                         payload.empty(), own);
    offset += static_cast<std::uint32_t>(bytes);
    const std::optional<Record> record = record_of(part);
    if (!record) return "a segment ends where a frame did";
    if (record->frame_bytes != own.size() + bytes) return "a segment is as long as the frame was";
    if (record->flow != flow_id) return "a super-frame is of one flow";
    if (record->damaged != 0) return "a frame with a wrong checksum is not merged";
    if (record->checksum != hash_of(layout, own, part)) return "a segment is as the frame was";
    visit(*record);
  }
  return {};
}

}  // namespace

Packet make_packet(Flow& flow, const Shape& shape) {
  VnetHeader sent{};
  VnetHeader arrives{};
  if (shape.checksum_kind == 1 || shape.checksum_kind == 3) {
    sent.flags = kVnetNeedsCsum;
    sent.csum_start = shape.checksum_kind == 1 ? 34 : 4;
    sent.csum_offset = 6;
    if (shape.checksum_kind == 1) arrives = sent;  // within the Ethernet header it is void
  } else if (shape.checksum_kind == 2) {
    sent.flags = arrives.flags = kVnetDataValid;
  }
  if (shape.gso) {
    sent.gso_type = arrives.gso_type = kGsoUdpL4;
    sent.gso_size = arrives.gso_size = 1200;
    sent.hdr_len = arrives.hdr_len = 42;
  }

  Packet packet(kVnetBytes + shape.frame_bytes);
  std::memcpy(packet.data(), &sent, kVnetBytes);
  const std::span frame = std::span(packet).subspan(kVnetBytes);
  fill(flow.next, frame);
  write_headers(flow, Layout(flow.id & 3), 17, 0, frame)
      .u16(shape.frame_bytes - 34)
      .u16(0);  // no UDP checksum: GRO leaves it alone
  if (shape.frame_bytes < kShortestWithRecord) return packet;

  const Record record{.sequence = flow.next++,
                      .magic = kMagic,
                      .path = flow.path.value,
                      .flow = flow.id,
                      .frame_bytes = shape.frame_bytes,
                      .checksum = hash_of(frame.first(frame.size() - sizeof(Record))),
                      .arrives = arrives};
  std::memcpy(packet.data() + packet.size() - sizeof record, &record, sizeof record);
  return packet;
}

Packet make_segments(Flow& flow, const Segments& segments) {
  const Layout layout(flow.id);
  VnetHeader header{};
  if (segments.unfinished || segments.count > 1) {
    header.flags = kVnetNeedsCsum;
    header.csum_start = static_cast<std::uint16_t>(layout.l4());
    header.csum_offset = layout.check_offset();
  }
  const VnetHeader plain = header;
  if (segments.count > 1) {
    header.gso_type =
        static_cast<std::uint8_t>(layout.gso_type() | (segments.cwr && layout.tcp ? kGsoEcn : 0));
    header.gso_size = static_cast<std::uint16_t>(segments.payload);
    header.hdr_len = static_cast<std::uint16_t>(layout.payload());
  }

  const std::uint32_t payload_bytes = segments.count * segments.payload;
  Packet packet(kVnetBytes + layout.payload() + payload_bytes);
  std::memcpy(packet.data(), &header, kVnetBytes);
  const std::span frame = std::span(packet).subspan(kVnetBytes);
  const std::span payload = frame.subspan(layout.payload());
  fill(flow.next, payload);
  const auto id = constant_id(flow.id) ? 0U : static_cast<std::uint32_t>(flow.next);
  Writer out = write_headers(flow, layout, layout.tcp ? 6 : 17, id, frame);
  if (layout.tcp) {
    const unsigned flags = kTcpAck | (segments.push ? unsigned{kTcpPsh} : 0U) |
                           (segments.cwr ? unsigned{kTcpCwr} : 0U);
    out.u32(flow.tcp_seq).u32(1).u8(5 << 4).u8(flags).u16(500).u32(0);
  } else {
    out.u16(8 + payload_bytes).u16(0);
  }
  std::byte* const ip = &frame[layout.l3()];
  if (!layout.ipv6) put16(ip + 10, ~sum_of({ip, 20}));

  std::array<std::byte, kMaxHeaders> headers;
  for (std::uint32_t i = 0; i < segments.count; ++i) {
    std::ranges::copy(frame.first(layout.payload()), headers.begin());
    const std::span own = std::span(headers).first(layout.payload());
    make_segment_headers(layout, flow.id, i, i * segments.payload, segments.payload,
                         i + 1 == segments.count, own);
    const std::span part = payload.subspan(i * segments.payload, segments.payload);
    const Record record{.sequence = flow.next++,
                        .magic = kMagic,
                        .path = flow.path.value,
                        .flow = flow.id,
                        .frame_bytes = layout.payload() + segments.payload,
                        .checksum = hash_of(layout, own, part),
                        .arrives = plain,
                        .damaged = segments.damaged ? std::uint8_t{1} : std::uint8_t{0},
                        .begins = i == 0 ? std::uint8_t{1} : std::uint8_t{0}};
    std::memcpy(part.data() + part.size() - sizeof record, &record, sizeof record);
  }
  flow.tcp_seq += payload_bytes;

  const std::uint32_t pseudo = pseudo_sum(layout, frame);
  std::uint32_t check = pseudo;
  if (header.flags == 0) {
    check = ~sum_of(frame.subspan(layout.l4()), pseudo) & 0xffff;
    if (check == 0 && !layout.tcp) check = 0xffff;
    if (segments.damaged) check = check == 0x0101 ? 0x0202 : check ^ 0x0101;
  }
  put16(&frame[layout.check()], check);
  return packet;
}

std::string_view inspect(std::span<const std::byte> packet, bool plain_frames,
                         const std::function<void(const Record&)>& visit) {
  VnetHeader header;
  std::memcpy(&header, packet.data(), kVnetBytes);
  const std::span frame = packet.subspan(kVnetBytes);
  if (header.gso_type == 0) return inspect_plain(frame, header, plain_frames, visit);
  if (plain_frames) return "a super-frame is split for whom takes none";
  const std::optional<Record> record = record_of(frame);
  if (!record) return "a super-frame arrives with its last bytes";
  if (record->flow < kFirstStream) return inspect_plain(frame, header, plain_frames, visit);
  const Layout layout(record->flow);
  if (frame.size() < layout.payload()) return "a super-frame has its headers";
  return inspect_super_frame(frame, header, layout, record->flow, visit);
}

}  // namespace vethd::sim

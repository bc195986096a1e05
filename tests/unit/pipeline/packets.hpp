// TCP and UDP packets for the tests of what reads, merges and splits them, and frames to carry
// them. Written apart from the code under test: checksums here are the plain loop of RFC 1071.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/frame/pool.hpp"

namespace vethd::test {

using Bytes = std::vector<std::byte>;

/// A frame's bytes and what the kernel says of them.
struct Packet {
  Bytes bytes;
  FrameMeta meta;
};

enum class Check : std::uint8_t {
  finished,
  unfinished,  // the sum of the pseudo-header, and IpSummed::partial
  zero         // none, for UDP
};

constexpr std::uint8_t kFin = 0x01;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kPsh = 0x08;
constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kUrg = 0x20;
constexpr std::uint8_t kCwr = 0x80;

/// What a packet says. The defaults are a segment in the middle of a TCP stream.
struct Spec {
  bool ipv6 = false;
  bool tcp = true;
  unsigned tags = 0;
  std::uint8_t source_mac = 1;
  std::uint8_t source = 1;  // last byte of the address
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  std::uint16_t id = 100;
  std::uint16_t fragment = 0x4000;  // DF
  std::uint32_t flow_label = 0;
  Bytes network_options =
      {};  // IPv4 options or IPv6 extension headers; those begin with kOptionsNext
  std::uint16_t source_port = 1000;
  std::uint32_t seq = 5000;
  std::uint32_t ack = 77;
  std::uint8_t reserved = 0;  // bits beside the TCP header's length
  std::uint8_t flags = kAck;
  std::uint16_t window = 500;
  Bytes tcp_options = {};
  std::uint32_t payload = 100;  // bytes; the content follows from seq and id
  std::uint32_t content = 0;    // where in the stream it begins
  std::uint32_t padding = 0;    // bytes behind the packet
  Check check = Check::finished;
};

/// Sum of big-endian words, complemented.
inline std::uint16_t plain_checksum(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/// Appends in network order.
class Writer {
 public:
  Writer& u8(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value & 0xff));
    return *this;
  }
  Writer& u16(unsigned value) { return u8(value >> 8).u8(value); }
  Writer& u32(std::uint32_t value) { return u16(value >> 16).u16(value & 0xffff); }
  Writer& zero(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Writer& bytes(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  void set16(std::size_t at, unsigned value) {
    bytes_[at] = static_cast<std::byte>(value >> 8 & 0xff);
    bytes_[at + 1] = static_cast<std::byte>(value & 0xff);
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Bytes from(std::size_t at) const {
    return {bytes_.begin() + static_cast<std::ptrdiff_t>(at), bytes_.end()};
  }

 private:
  Bytes bytes_;
};

/// Byte `at` of every stream: the same wherever the stream is cut.
inline unsigned stream_byte(std::uint32_t at) { return (at * 2654435761U) >> 24; }

/// A destination options header of 8 bytes before what follows.
inline Bytes extension_header(unsigned next) {
  return Writer().u8(next).u8(0).u16(0x0104).u32(0).from(0);
}

inline Packet build(const Spec& spec) {
  Packet packet;
  Writer out;
  out.u16(0x0200).u32(2).u16(0x0200).u32(spec.source_mac);
  for (unsigned i = 0; i < spec.tags; ++i) out.u16(0x8100).u16(7 + i);
  out.u16(spec.ipv6 ? 0x86dd : 0x0800);
  const std::size_t l3 = out.size();
  const unsigned protocol = spec.tcp ? 6 : 17;
  const std::size_t l4_header = spec.tcp ? 20 + spec.tcp_options.size() : 8;
  const auto l4_bytes = static_cast<unsigned>(l4_header + spec.payload);
  const auto options = static_cast<unsigned>(spec.network_options.size());

  Writer addresses;
  if (spec.ipv6) {
    addresses.u32(0xfd000000).zero(8).u32(spec.source).u32(0xfd000000).zero(8).u32(99);
    out.u32(0x60000000U | static_cast<unsigned>(spec.tos) << 20 | spec.flow_label);
    out.u16(l4_bytes + options).u8(options > 0 ? 60 : protocol).u8(spec.ttl);
    out.bytes(addresses.from(0)).bytes(spec.network_options);
  } else {
    addresses.u32(0x0a000000U + spec.source).u32(0x0a000063);
    out.u8(0x45 + options / 4).u8(spec.tos).u16(20 + options + l4_bytes).u16(spec.id);
    out.u16(spec.fragment).u8(spec.ttl).u8(protocol).u16(0).bytes(addresses.from(0));
    out.bytes(spec.network_options);
    out.set16(l3 + 10, plain_checksum(out.from(l3)));
  }

  const std::size_t l4 = out.size();
  out.u16(spec.source_port).u16(80);
  if (spec.tcp) {
    out.u32(spec.seq).u32(spec.ack);
    out.u8(static_cast<unsigned>(l4_header / 4 << 4) | spec.reserved).u8(spec.flags);
    out.u16(spec.window).u16(0).u16(0).bytes(spec.tcp_options);
  } else {
    out.u16(l4_bytes).u16(0);
  }
  for (std::uint32_t i = 0; i < spec.payload; ++i) out.u8(stream_byte(spec.content + i));

  const std::size_t check = l4 + (spec.tcp ? 16 : 6);
  Writer pseudo;
  pseudo.bytes(addresses.from(0)).u32(l4_bytes).u32(protocol);
  if (spec.check == Check::unfinished) {
    out.set16(check, static_cast<std::uint16_t>(~plain_checksum(pseudo.from(0))));
    packet.meta.ip_summed = IpSummed::partial;
    packet.meta.csum_start = static_cast<std::uint16_t>(l4);
    packet.meta.csum_offset = spec.tcp ? 16 : 6;
  } else if (spec.check == Check::finished) {
    const unsigned sum = plain_checksum(pseudo.bytes(out.from(l4)).from(0));
    out.set16(check, sum == 0 && !spec.tcp ? 0xffff : sum);
  }
  out.zero(spec.padding);
  packet.bytes = out.from(0);
  return packet;
}

/// The next segment of a TCP stream, or the next datagram.
inline Spec following(Spec spec) {
  spec.seq += spec.payload;
  spec.content += spec.payload;
  ++spec.id;
  return spec;
}

/// An arena with a pool, and packets in its frames.
class Frames {
 public:
  Frames() : arena_(std::move(*Arena::create(plan_arena(16 << 20, 1)))), pool_(arena_, 0) {}

  [[nodiscard]] const Arena& arena() const { return arena_; }
  FramePool& pool() { return pool_; }

  Frame& put(const Packet& packet) {
    const auto len = static_cast<std::uint32_t>(packet.bytes.size());
    Frame* frame = len <= kChunkFrameBytes ? pool_.take_chunk() : nullptr;
    if (frame == nullptr) frame = &pool_.wrap_landing({pool_.take_landing().value + 10}, len);
    frame->len = len;
    frame->meta = packet.meta;
    std::ranges::copy(packet.bytes, arena_.bytes_of(*frame));
    return *frame;
  }

  /// The whole of a frame, its fragments behind each other.
  [[nodiscard]] Packet look(const Frame& frame) const {
    Packet packet{.bytes = {}, .meta = frame.meta};
    const auto append = [&](const Frame& piece, std::uint32_t bytes) {
      const std::byte* const data = arena_.bytes_of(piece);
      packet.bytes.insert(packet.bytes.end(), data, data + bytes);
    };
    append(frame, frame.linear_bytes());
    for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
      append(*piece, piece->len);
    return packet;
  }

 private:
  Arena arena_;
  FramePool pool_;
};

/// Every field of what merging may change.
inline bool same_meta(const FrameMeta& a, const FrameMeta& b) {
  return a.gso_type == b.gso_type && a.gso_size == b.gso_size && a.hdr_len == b.hdr_len &&
         a.ip_summed == b.ip_summed && a.csum_start == b.csum_start &&
         a.csum_offset == b.csum_offset && a.hash == b.hash && a.mark == b.mark;
}

inline void expect_same(const Packet& is, const Packet& should, const std::string& what) {
  EXPECT_EQ(is.bytes.size(), should.bytes.size()) << what;
  const auto [at, other] = std::ranges::mismatch(is.bytes, should.bytes);
  if (at != is.bytes.end() && other != should.bytes.end())
    ADD_FAILURE() << what << ": differs at byte " << at - is.bytes.begin();
  EXPECT_TRUE(same_meta(is.meta, should.meta)) << what;
}

}  // namespace vethd::test

#include "daemon/pipeline/flow.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/siphash.hpp"

namespace vethd {
namespace {

constexpr std::uint8_t kIpProtoDccp = 33;
constexpr std::uint8_t kIpProtoEsp = 50;
constexpr std::uint8_t kIpProtoAh = 51;
constexpr std::uint8_t kIpProtoUdpLite = 136;

constexpr std::uint32_t kFlowLabelBits = 0x000fffff;

// MAX_FLOW_DISSECT_HDRS of net/core/flow_dissector.c: headers looked at before giving up.
constexpr int kMaxHeaders = 15;

/// A cursor that cannot leave the frame.
struct Cursor {
  const std::byte* data;
  std::uint32_t len;
  std::uint32_t at;

  [[nodiscard]] bool has(std::uint32_t bytes) const { return at <= len && len - at >= bytes; }
  [[nodiscard]] const std::byte* here() const { return data + at; }
};

/// Emulates skb_flow_get_ports()/flow_ip_proto_ports_offset(): where a protocol keeps its ports.
void read_ports(Cursor cursor, FlowKeys& keys) {
  std::uint32_t offset = 0;
  switch (keys.ip_proto) {
    case kIpProtoTcp:
    case kIpProtoUdp:
    case kIpProtoDccp:
    case kIpProtoEsp:  // SPI
    case kIpProtoSctp:
    case kIpProtoUdpLite:
      break;
    case kIpProtoAh:
      offset = 4;
      break;  // SPI
    default:
      return;
  }
  cursor.at += offset;
  if (!cursor.has(4)) return;
  keys.src_port = load_be16(cursor.here());
  keys.dst_port = load_be16(cursor.here() + 2);
  keys.has_l4 = (keys.src_port | keys.dst_port) != 0;
}

void read_ipv4(Cursor cursor, FlowKeys& keys) {
  if (!cursor.has(kIpv4HeaderBytes)) return;
  const std::byte* const ip = cursor.here();
  const std::uint32_t header = (load8(ip) & 0xfU) * 4;
  if (header < kIpv4HeaderBytes) return;
  keys.ip_proto = load8(ip + 9);
  std::copy_n(ip + 12, 4, keys.src.begin());
  std::copy_n(ip + 16, 4, keys.dst.begin());
  if ((load_be16(ip + 6) & kIpv4FragmentBits) != 0) return;
  cursor.at += header;
  read_ports(cursor, keys);
}

void read_ipv6(Cursor cursor, FlowKeys& keys, FlowLabel label) {
  if (!cursor.has(kIpv6HeaderBytes)) return;
  const std::byte* const ip = cursor.here();
  keys.ip_proto = load8(ip + 6);
  std::copy_n(ip + 8, 16, keys.src.begin());
  std::copy_n(ip + 24, 16, keys.dst.begin());
  if (label == FlowLabel::stops) {
    keys.flow_label = load_be32(ip) & kFlowLabelBits;
    if (keys.flow_label != 0) {
      keys.has_l4 = true;
      return;
    }
  }
  cursor.at += kIpv6HeaderBytes;
  for (int i = 0; i < kMaxHeaders; ++i) {
    switch (keys.ip_proto) {
      case kIpv6HopByHop:
      case kIpv6Routing:
      case kIpv6DestOptions:
        if (!cursor.has(2)) return;
        keys.ip_proto = load8(cursor.here());
        cursor.at += (load8(cursor.here() + 1) + 1U) * 8;
        break;
      case kIpv6Fragment:
        if (cursor.has(1)) keys.ip_proto = load8(cursor.here());
        return;  // no ports in any fragment
      default:
        read_ports(cursor, keys);
        return;
    }
  }
}

/// Emulates net/core/flow_dissector.c: __flow_hash_consistentify().
void consistentify(FlowKeys& keys, const Rules& rules) {
  const bool swapped = keys.dst < keys.src;
  const bool same = keys.dst == keys.src;
  if (swapped) std::swap(keys.src, keys.dst);
  if (rules.ports_ordered_with_addresses ? swapped || (same && keys.dst_port < keys.src_port)
                                         : keys.dst_port < keys.src_port)
    std::swap(keys.src_port, keys.dst_port);
}

std::uint64_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof word);
  return word;
}

}  // namespace

FlowKeys dissect_flow(const std::byte* data, std::uint32_t len, FlowLabel label,
                      const Rules& rules) {
  FlowKeys keys;
  Cursor cursor{.data = data, .len = len, .at = kEthHeaderBytes};
  if (len < kEthHeaderBytes) return keys;
  keys.n_proto = load_be16(data + kEthHeaderBytes - 2);
  bool outermost = true;
  for (int i = 0; i < kMaxHeaders; ++i) {
    if (keys.n_proto != kEthP8021Q && keys.n_proto != kEthP8021Ad) break;
    if (!cursor.has(kVlanBytes)) return keys;
    if (std::exchange(outermost, false)) keys.vlan_tci = load_be16(cursor.here());
    keys.n_proto = load_be16(cursor.here() + 2);
    cursor.at += kVlanBytes;
  }
  if (keys.n_proto == kEthPIp) read_ipv4(cursor, keys);
  if (keys.n_proto == kEthPIpv6) read_ipv6(cursor, keys, label);
  consistentify(keys, rules);
  return keys;
}

std::uint32_t hash_flow(const FlowKeys& keys, const HashKey& key) {
  SipHash hash(key.k0, key.k1);
  hash.word(std::uint64_t{keys.n_proto} | std::uint64_t{keys.vlan_tci} << 16 |
            std::uint64_t{keys.src_port} << 32 | std::uint64_t{keys.dst_port} << 48);
  hash.word(std::uint64_t{keys.flow_label} | std::uint64_t{keys.ip_proto} << 32);
  hash.word(word_at(keys.src, 0));
  hash.word(word_at(keys.src, 8));
  hash.word(word_at(keys.dst, 0));
  hash.word(word_at(keys.dst, 8));
  const auto value = static_cast<std::uint32_t>(hash.finish());
  return value != 0 ? value : 1;
}

bool taken_for_sock_wfree(const Frame& frame, const std::byte* data) {
  const FlowKeys keys = dissect_flow(data, frame.linear_bytes(), FlowLabel::ignored, kRules618);
  return keys.n_proto != kEthPArp && keys.ip_proto != kIpProtoTcp &&
         (keys.n_proto != kEthPIp || keys.ip_proto != kIpProtoIgmp);
}

std::uint32_t skb_get_hash(Frame& frame, const std::byte* data, const HashKey& key,
                           const Rules& rules) {
  if (frame.meta.hash == 0) {
    const FlowKeys keys = dissect_flow(data, frame.linear_bytes(), FlowLabel::stops, rules);
    frame.meta.hash = hash_flow(keys, key);
    frame.meta.l4_hash = keys.has_l4;
  }
  return frame.meta.hash;
}

}  // namespace vethd

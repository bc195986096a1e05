#include "tests/system/lib/crafted.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/core/panic.hpp"

namespace vethd::system_test {

namespace {

constexpr std::size_t kEthernet = ETH_HLEN;
constexpr std::size_t kIpv4 = 20;
constexpr std::size_t kIpv6 = 40;
constexpr std::size_t kTcp = 20;
constexpr std::size_t kUdp = 8;
constexpr std::size_t kTcpChecksumAt = 16;
constexpr std::size_t kUdpChecksumAt = 6;

class Writer {
 public:
  void u8(std::size_t value) { bytes_.push_back(static_cast<std::uint8_t>(value)); }
  void u16(std::size_t value) {
    u8(value >> 8);
    u8(value);
  }
  void u32(std::size_t value) {
    u16(value >> 16);
    u16(value);
  }
  void text(const std::vector<std::uint8_t>& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void mac(const char* text) {
    std::array<unsigned, ETH_ALEN> part{};
    invariant(std::sscanf(text, "%x:%x:%x:%x:%x:%x", &part[0], &part[1], &part[2], &part[3],
                          &part[4], &part[5]) == ETH_ALEN,
              "a MAC address has six parts");
    for (const unsigned value : part) u8(value);
  }
  void set16(std::size_t at, std::uint16_t value) {
    bytes_[at] = static_cast<std::uint8_t>(value >> 8);
    bytes_[at + 1] = static_cast<std::uint8_t>(value);
  }
  /// Any full-period generator will do: what counts is that no two streams agree.
  void payload(std::size_t count, std::uint32_t seed) {
    for (std::uint32_t value = seed; count > 0; --count) {
      value = value * 1664525 + 1013904223;
      u8(value >> 24);
    }
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  Frame take() { return std::move(bytes_); }
  [[nodiscard]] const Frame& bytes() const { return bytes_; }

 private:
  Frame bytes_;
};

/// RFC 1071, not complemented.
std::uint16_t sum(const Frame& bytes, std::size_t from, std::size_t to, std::uint64_t start = 0) {
  std::uint64_t total = start;
  for (std::size_t i = from; i < to; ++i)
    total += (i - from) % 2 == 0 ? std::uint64_t{bytes[i]} << 8 : bytes[i];
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(total);
}

std::uint16_t be16(const Frame& frame, std::size_t at) {
  return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
}

/// Stands at the network header; l4_bytes: transport header and payload.
void network_header(Writer& out, const Packet& p, int protocol, std::size_t l4_bytes) {
  if (p.v6) {
    out.u32(std::size_t{6} << 28 | std::size_t{p.tos} << 20 | p.flow_label);
    out.u16(l4_bytes);
    out.u8(static_cast<std::size_t>(protocol));
    out.u8(p.ttl);
    for (const unsigned last : {1U, 2U}) {  // fd00::1 to fd00::2
      out.u8(0xfd);
      out.text(std::vector<std::uint8_t>(14));
      out.u8(last);
    }
    return;
  }
  const std::size_t at = out.size();
  const std::size_t header = kIpv4 + p.ip_options.size();
  out.u8(0x40 | header / 4);
  out.u8(p.tos);
  out.u16(header + l4_bytes);
  out.u16(p.id.value_or(static_cast<std::uint16_t>(p.n)));
  out.u16(std::size_t{p.fragment} | (p.df ? 0x4000U : 0U) | (p.evil ? 0x8000U : 0U));
  out.u8(p.ttl);
  out.u8(static_cast<std::size_t>(protocol));
  out.u16(0);
  out.u32(0x0a000001);
  out.u32(0x0a000002);
  out.text(p.ip_options);
  const std::uint16_t right = static_cast<std::uint16_t>(~sum(out.bytes(), at, out.size()));
  out.set16(at + 10, static_cast<std::uint16_t>(right + (p.wrong_ip_checksum ? 1 : 0)));
}

Input packet(const Packet& p, int protocol) {
  const bool is_tcp = protocol == IPPROTO_TCP;
  Writer out;
  out.mac(p.to);
  out.mac(kMacA);
  out.u16(p.v6 ? ETH_P_IPV6 : ETH_P_IP);
  const std::size_t header = is_tcp ? kTcp + p.options.size() : kUdp;
  const std::size_t l4_bytes = header + p.payload;
  network_header(out, p, protocol, l4_bytes);

  const std::size_t l4 = out.size();
  out.u16(p.source_port);
  out.u16(p.port);
  const std::int64_t seq = std::int64_t{1000} * p.n + p.seq_shift;
  if (is_tcp) {
    out.u32(static_cast<std::uint32_t>(seq));
    out.u32(p.ack);
    out.u8(header / 4 << 4);
    out.u8(p.flags);
    out.u16(p.window);
    out.u16(0);  // checksum
    out.u16(0);  // urgent pointer
    out.text(p.options);
  } else {
    out.u16(l4_bytes);
    out.u16(0);
  }
  out.payload(p.payload, p.n * 7919U + p.source_port);

  // RFC 793, 768 and 8200 agree on the sum: addresses, protocol, length.
  const std::size_t addresses = p.v6 ? 32 : 8;
  const std::size_t addresses_at = p.v6 ? kEthernet + 8 : kEthernet + 12;
  const std::uint16_t pseudo = sum(out.bytes(), addresses_at, addresses_at + addresses,
                                   l4_bytes + static_cast<std::size_t>(protocol));
  const std::size_t field = is_tcp ? kTcpChecksumAt : kUdpChecksumAt;
  std::uint16_t value = static_cast<std::uint16_t>(~sum(out.bytes(), l4, out.size(), pseudo));
  if (!is_tcp && value == 0) value = 0xffff;
  if (p.checksum == Checksum::wrong) value = static_cast<std::uint16_t>(value ^ 1);
  if (p.checksum == Checksum::zero) value = 0;
  if (p.checksum == Checksum::partial) value = pseudo;
  out.set16(l4 + field, value);
  out.payload(p.padding, 1);

  Input input{.bytes = out.take()};
  if (p.checksum == Checksum::partial) {
    const auto family = static_cast<std::uint8_t>(!is_tcp ? kGsoUdp : (p.v6 ? kGsoTcp6 : kGsoTcp4));
    input.vnet =
        VnetHeader{.flags = kNeedsCsum,
                   .gso_type = p.gso_size == 0 ? kGsoNone : family,
                   .hdr_len = static_cast<std::uint16_t>(p.gso_size == 0 ? 0 : l4 + header),
                   .gso_size = p.gso_size,
                   .csum_start = static_cast<std::uint16_t>(l4),
                   .csum_offset = static_cast<std::uint16_t>(field)};
  }
  return input;
}

}  // namespace

Input ethernet(const Ethernet& wanted) {
  Writer out;
  out.mac(wanted.to);
  out.mac(kMacA);
  if (wanted.vlan) {
    out.u16(ETH_P_8021Q);
    out.u16(*wanted.vlan);
  }
  out.u16(wanted.type);
  if (wanted.raw_ipx) out.u16(0xffff);
  if (out.size() < wanted.bytes) out.payload(wanted.bytes - out.size(), wanted.seed);
  Input input{.bytes = out.take()};
  input.bytes.resize(wanted.bytes);
  return input;
}

Input tcp(const Packet& wanted) { return packet(wanted, IPPROTO_TCP); }
Input udp(const Packet& wanted) { return packet(wanted, IPPROTO_UDP); }

std::vector<std::uint8_t> timestamps(std::uint32_t value, std::uint32_t echo) {
  Writer out;
  out.u32(0x0101080a);  // NOP NOP kind 8, 10 bytes
  out.u32(value);
  out.u32(echo);
  return out.take();
}

Frame payload_of(const Frame& frame) {
  if (frame.size() < kEthernet) return {};
  const std::uint16_t type = be16(frame, kEthernet - 2);
  std::size_t at = kEthernet;
  std::size_t end = frame.size();
  int protocol = 0;
  if (type == ETH_P_IP && frame.size() >= kEthernet + kIpv4) {
    at = kEthernet + std::size_t{frame[kEthernet] & 0x0fU} * 4;
    protocol = frame[kEthernet + 9];
    end = std::min(end, kEthernet + be16(frame, kEthernet + 2));
  } else if (type == ETH_P_IPV6 && frame.size() >= kEthernet + kIpv6) {
    at = kEthernet + kIpv6;
    protocol = frame[kEthernet + 6];
    end = std::min(end, at + be16(frame, kEthernet + 4));
  }
  if (protocol == IPPROTO_TCP && end >= at + kTcp) at += std::size_t{frame[at + 12]} / 16 * 4;
  if (protocol == IPPROTO_UDP) at += kUdp;
  if (at > end) return {};
  return {frame.begin() + static_cast<std::ptrdiff_t>(at),
          frame.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace vethd::system_test

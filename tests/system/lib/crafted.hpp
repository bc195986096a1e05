// Frames written out byte by byte, so that a case can get any of them wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/system/lib/packet.hpp"

namespace vethd::system_test {

/// struct virtio_net_hdr; no C++ compiler accepts linux/virtio_net.h (a field is named `class`).
struct VnetHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;  // bytes from the Ethernet header
  std::uint16_t csum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);
inline constexpr std::uint8_t kNeedsCsum = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
inline constexpr std::uint8_t kGsoNone = 0;    // VIRTIO_NET_HDR_GSO_*
inline constexpr std::uint8_t kGsoTcp4 = 1;
inline constexpr std::uint8_t kGsoTcp6 = 4;
inline constexpr std::uint8_t kGsoUdp = 5;
inline constexpr std::uint8_t kGsoEcn = 0x80;

/// What one send gives to a packet socket. With vnet: a PACKET_VNET_HDR sender.
struct Input {
  Frame bytes;
  std::optional<VnetHeader> vnet = {};
};

inline constexpr const char* kMacA = "02:00:00:00:00:0a";
inline constexpr const char* kMacB = "02:00:00:00:00:0b";
inline constexpr const char* kBroadcast = "ff:ff:ff:ff:ff:ff";
inline constexpr const char* kIpA = "10.0.0.1";  // fd00::1 with v6
inline constexpr const char* kIpB = "10.0.0.2";
inline constexpr std::uint16_t kPort = 9000;

/// An Ethernet frame of this many bytes whose payload depends on seed.
struct Ethernet {
  std::size_t bytes = 60;
  const char* to = kBroadcast;
  std::uint16_t type = 0x88b5;  // IEEE 802: local experimental EtherType 1
  std::uint32_t seed = 1;
  std::optional<std::uint16_t> vlan = {};  // an in-band 802.1Q tag
  bool raw_ipx = false;                    // the payload begins with 0xffff
};
Input ethernet(const Ethernet& wanted);

// TCP flags
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kRst = 0x04;
inline constexpr std::uint8_t kPsh = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kUrg = 0x20;
inline constexpr std::uint8_t kEce = 0x40;
inline constexpr std::uint8_t kCwr = 0x80;

enum class Checksum : std::uint8_t {
  finished,
  wrong,    // off by one
  zero,     // the field is 0: UDP's "none"
  partial,  // the pseudo-header's sum, and NEEDS_CSUM in the vnet header
};

/// The n-th packet of a stream whose packets carry 1000 bytes unless a case says otherwise: TCP
/// sequence number 1000 n, IPv4 id n.
struct Packet {
  unsigned n = 1;
  std::size_t payload = 1000;
  bool v6 = false;
  const char* to = kMacB;
  std::uint8_t flags = kAck;
  std::int32_t seq_shift = 0;
  std::uint32_t ack = 7;
  std::uint16_t window = 500;
  std::vector<std::uint8_t> options = {};  // TCP's, a multiple of four bytes
  std::uint16_t source_port = 4000;
  std::uint16_t port = kPort;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  bool df = true;
  bool evil = false;                          // IPv4's reserved fragment bit
  std::optional<std::uint16_t> id = {};       // IPv4's; otherwise n
  std::uint16_t fragment = 0;                 // IPv4: MF 0x2000 and offset
  std::vector<std::uint8_t> ip_options = {};  // IPv4's, a multiple of four bytes
  std::uint32_t flow_label = 0;               // IPv6's
  std::size_t padding = 0;                    // bytes behind the IP packet
  Checksum checksum = Checksum::finished;
  bool wrong_ip_checksum = false;
  std::uint16_t gso_size = 0;  // not 0: one super-frame; sent with Checksum::partial
};
Input tcp(const Packet& wanted);
Input udp(const Packet& wanted);

/// TCP's timestamp option behind two NOPs.
std::vector<std::uint8_t> timestamps(std::uint32_t value, std::uint32_t echo);

/// The bytes behind the TCP or UDP header of an IPv4 or IPv6 frame without extension headers;
/// behind the Ethernet header of anything else.
Frame payload_of(const Frame& frame);

}  // namespace vethd::system_test

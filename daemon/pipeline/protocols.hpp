// Numbers of the headers that the stages read.
#pragma once

#include <cstdint>

namespace vethd {

// EtherTypes, include/uapi/linux/if_ether.h.
constexpr std::uint16_t kEthPIp = 0x0800;
constexpr std::uint16_t kEthPArp = 0x0806;
constexpr std::uint16_t kEthPIpv6 = 0x86dd;
constexpr std::uint16_t kEthP8021Q = 0x8100;
constexpr std::uint16_t kEthP8021Ad = 0x88a8;

// Protocols and IPv6 next headers, assigned by IANA.
constexpr std::uint8_t kIpv6HopByHop = 0;
constexpr std::uint8_t kIpProtoIgmp = 2;
constexpr std::uint8_t kIpProtoIpip = 4;
constexpr std::uint8_t kIpProtoTcp = 6;
constexpr std::uint8_t kIpProtoUdp = 17;
constexpr std::uint8_t kIpProtoIpv6 = 41;
constexpr std::uint8_t kIpv6Routing = 43;
constexpr std::uint8_t kIpv6Fragment = 44;
constexpr std::uint8_t kIpProtoGre = 47;
constexpr std::uint8_t kIpv6DestOptions = 60;
constexpr std::uint8_t kIpProtoSctp = 132;
constexpr std::uint8_t kIpProtoMpls = 137;

constexpr std::uint32_t kIpv4HeaderBytes = 20;  // without options
constexpr std::uint32_t kIpv6HeaderBytes = 40;  // without extension headers
constexpr std::uint32_t kTcpHeaderBytes = 20;   // without options
constexpr std::uint32_t kUdpHeaderBytes = 8;

constexpr std::uint16_t kIpv4FragmentBits = 0x3fff;  // MF or offset

// Where the checksum lies in its header: csum_offset of an unfinished one.
constexpr std::uint16_t kTcpCheckOffset = 16;
constexpr std::uint16_t kUdpCheckOffset = 6;

// FrameMeta::gso_type, VIRTIO_NET_HDR_GSO_* of include/uapi/linux/virtio_net.h.
constexpr std::uint8_t kGsoTcpv4 = 1;
constexpr std::uint8_t kGsoTcpv6 = 4;
constexpr std::uint8_t kGsoUdpL4 = 5;             // IPv4 and IPv6
constexpr std::uint8_t kGsoUdpTunnelIpv4 = 0x20;  // beside a type: it is that of the inner frame
constexpr std::uint8_t kGsoUdpTunnelIpv6 = 0x40;  // the same, and the outer header is IPv6
constexpr std::uint8_t kGsoEcn = 0x80;            // beside a TCP type: the first segment has CWR

}  // namespace vethd

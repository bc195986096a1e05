#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "drivers/tap/vnet.hpp"

namespace vethd {
namespace {

using Bytes = std::array<std::byte, kVnetBytes>;

Bytes bytes_of(const VnetHeader& header) {
  Bytes bytes{};
  std::memcpy(bytes.data(), &header, bytes.size());
  return bytes;
}

Bytes through(const VnetHeader& header) {
  FrameMeta meta;
  decode_vnet(bytes_of(header).data(), meta);
  Bytes out{};
  encode_vnet(meta, out.data());
  return out;
}

constexpr VnetHeader kUnfinished{.flags = kVnetNeedsCsum,
                                 .gso_type = 1,
                                 .hdr_len = 54,
                                 .gso_size = 1448,
                                 .csum_start = 34,
                                 .csum_offset = 16};

TEST(Vnet, UnfinishedChecksumAndSegmentationPassUnchanged) {
  EXPECT_EQ(through(kUnfinished), bytes_of(kUnfinished));
}

TEST(Vnet, ValidChecksumPassesUnchanged) {
  const VnetHeader valid{.flags = kVnetDataValid};
  EXPECT_EQ(through(valid), bytes_of(valid));
}

TEST(Vnet, NothingKnownPassesAsNothing) { EXPECT_EQ(through({}), Bytes{}); }

TEST(Vnet, NamesEachFieldOfTheHeader) {
  FrameMeta meta;
  decode_vnet(bytes_of(kUnfinished).data(), meta);
  EXPECT_EQ(meta.ip_summed, IpSummed::partial);
  EXPECT_EQ(meta.csum_start, 34);
  EXPECT_EQ(meta.csum_offset, 16);
  EXPECT_EQ(meta.gso_type, 1);
  EXPECT_EQ(meta.gso_size, 1448);
  EXPECT_EQ(meta.hdr_len, 54);
}

TEST(Vnet, ChecksumPlacesWithoutTheFlagMeanNothing) {
  const VnetHeader stale{.csum_start = 34, .csum_offset = 16};
  EXPECT_EQ(through(stale), Bytes{});
}

/// A header and the frame behind it: VXLAN over IPv4, with or without a tag in the bytes.
struct Tunnelled {
  static constexpr std::uint16_t kOuterTh = 34;
  static constexpr std::uint16_t kInnerNh = 34 + 8 + 8 + 14;
  std::array<std::byte, kVnetTunnelBytes + 200> bytes{};

  explicit Tunnelled(bool tag_in_bytes, const VnetTunnel& said) {
    VnetHeader header = kUnfinished;
    header.flags |= kVnetOuterCsum;
    header.gso_type |= kGsoUdpTunnelIpv4;
    header.csum_start = kInnerNh + 20 + (tag_in_bytes ? kVlanBytes : 0);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + kVnetTunnelAt, &said, sizeof said);
    std::byte* const l3 = frame() + kEthHeaderBytes + (tag_in_bytes ? kVlanBytes : 0);
    store_be16(frame() + kEthHeaderBytes - 2, tag_in_bytes ? kEthP8021Q : kEthPIp);
    store_be16(l3 - 2, kEthPIp);
    store8(l3, 0x45);
  }
  std::byte* frame() { return bytes.data() + kVnetTunnelBytes; }
  FrameMeta decoded() {
    FrameMeta meta;
    decode_vnet(bytes.data(), meta);
    decode_vnet_tunnel(bytes.data(), frame(), meta);
    return meta;
  }
};

TEST(VnetTunnel, PassesUnchanged) {
  Tunnelled sent(false, {.outer_th = Tunnelled::kOuterTh, .inner_nh = Tunnelled::kInnerNh});
  const FrameMeta meta = sent.decoded();
  ASSERT_TRUE(in_udp_tunnel(meta));
  EXPECT_EQ(meta.outer_th, Tunnelled::kOuterTh);
  EXPECT_EQ(meta.inner_nh, Tunnelled::kInnerNh);
  EXPECT_TRUE(meta.outer_csum);
  std::array<std::byte, kVnetTunnelBytes> out{};
  encode_vnet(meta, out.data());
  encode_vnet_tunnel(meta, out.data());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), sent.bytes.begin()));
}

TEST(VnetTunnel, OffsetsCountTheTagThatTheKernelHasPutIntoTheBytes) {
  // As the kernel says them of a tag that lay beside the frame; and of one that lay inside already.
  for (const std::uint16_t counted : {std::uint16_t{0}, std::uint16_t{kVlanBytes}}) {
    const VnetTunnel said{.outer_th = static_cast<std::uint16_t>(Tunnelled::kOuterTh + counted),
                          .inner_nh = static_cast<std::uint16_t>(Tunnelled::kInnerNh + counted)};
    const FrameMeta meta = Tunnelled(true, said).decoded();
    EXPECT_EQ(meta.outer_th, Tunnelled::kOuterTh + kVlanBytes);
    EXPECT_EQ(meta.inner_nh, Tunnelled::kInnerNh + kVlanBytes);
  }
}

TEST(VnetTunnel, NothingButATunnelSaysSo) {
  FrameMeta meta;
  decode_vnet(bytes_of(kUnfinished).data(), meta);
  EXPECT_FALSE(in_udp_tunnel(meta));
}

}  // namespace
}  // namespace vethd

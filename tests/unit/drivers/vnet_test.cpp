#include <gtest/gtest.h>

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

}  // namespace
}  // namespace vethd

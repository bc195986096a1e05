// Splitting super-frames, against packets built one by one.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/segment.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Check;
using test::Packet;
using test::Spec;

/// What a sender with segmentation offload hands over.
Packet super_frame(Spec spec, std::uint32_t payload, std::uint16_t gso_size) {
  spec.payload = payload;
  spec.check = Check::unfinished;
  Packet packet = test::build(spec);
  packet.meta.gso_type = !spec.tcp ? kGsoUdpL4 : spec.ipv6 ? kGsoTcpv6 : kGsoTcpv4;
  packet.meta.gso_size = gso_size;
  return packet;
}

class Segments : public testing::Test {
 protected:
  std::vector<Bytes> split(const Frame& frame, Ipv4Ids ids = Ipv4Ids::incrementing) {
    std::vector<Bytes> segments;
    auto segmenter = Segmenter::of(frame, frames_.arena(), ids);
    if (!segmenter) return segments;
    const std::uint32_t count = segmenter->segments();
    while (!segmenter->done()) {
      Bytes segment(segmenter->max_bytes());  // exactly: a sanitizer sees each byte too many
      segment.resize(segmenter->write(segment.data()));
      segments.push_back(std::move(segment));
    }
    EXPECT_EQ(segments.size(), count);
    return segments;
  }
  std::vector<Bytes> split(const Packet& packet, Ipv4Ids ids = Ipv4Ids::incrementing) {
    return split(frames_.put(packet), ids);
  }
  bool splits(const Packet& packet) {
    return Segmenter::of(frames_.put(packet), frames_.arena(), Ipv4Ids::incrementing).has_value();
  }

  test::Frames frames_;
};

/// Segments of `size` built one by one, `change`d by (spec, first, last).
std::vector<Bytes> expected(Spec spec, std::uint32_t payload, std::uint32_t size,
                            const std::function<void(Spec&, bool, bool)>& change = {}) {
  std::vector<Bytes> segments;
  for (std::uint32_t done = 0; done < payload; done += size) {
    spec.payload = std::min(size, payload - done);
    Spec segment = spec;
    if (change) change(segment, done == 0, done + size >= payload);
    segments.push_back(test::build(segment).bytes);
    spec = test::following(spec);
  }
  return segments;
}

TEST_F(Segments, AreWhatTheSenderWouldHaveSentOneByOne) {
  const Bytes options(12, std::byte{1});
  const Spec specs[] = {{},
                        {.tcp = false},
                        {.ipv6 = true},
                        {.ipv6 = true, .tcp = false},
                        {.tags = 2, .tos = 3, .tcp_options = options},
                        {.network_options = Bytes(8)},
                        {.ipv6 = true, .network_options = test::extension_header(6)}};
  for (const Spec& spec : specs)
    for (const std::uint16_t size : {std::uint16_t{1}, std::uint16_t{99}, std::uint16_t{100},
                                     std::uint16_t{333}, std::uint16_t{999}, std::uint16_t{1000}})
      EXPECT_EQ(split(super_frame(spec, 1000, size)), expected(spec, 1000, size)) << size;
}

TEST_F(Segments, OfALandingBufferReachTheLastByte) {
  const Spec spec;
  EXPECT_EQ(split(super_frame(spec, 65535 - 40, 1460)), expected(spec, 65535 - 40, 1460));
}

TEST_F(Segments, CarryFinAndPshAtTheEndAndCwrAtTheBeginning) {
  Spec spec;
  spec.flags = test::kAck | test::kCwr | test::kFin | test::kPsh;
  Packet packet = super_frame(spec, 1000, 400);
  packet.meta.gso_type |= kGsoEcn;
  EXPECT_EQ(split(packet), expected(spec, 1000, 400, [](Spec& segment, bool first, bool last) {
              segment.flags = test::kAck;
              if (first) segment.flags |= test::kCwr;
              if (last) segment.flags |= test::kFin | test::kPsh;
            }));
}

TEST_F(Segments, HaveIdsThatStepOrStand) {
  Spec spec{.id = 65535};
  EXPECT_EQ(split(super_frame(spec, 300, 100)), expected(spec, 300, 100)) << "id wraps";
  const auto stand = [](Spec& segment, bool, bool) { segment.id = 65535; };
  EXPECT_EQ(split(super_frame(spec, 300, 100), Ipv4Ids::constant), expected(spec, 300, 100, stand));
}

TEST_F(Segments, OfUdpNeverClaimToHaveNoChecksum) {
  // One of 65536 payloads sums up to a checksum of 0; 0xffff stands for it.
  Frame& frame = frames_.put(super_frame({.tcp = false}, 2, 2));
  std::byte* const payload = frames_.arena().bytes_of(frame) + 42;
  Bytes segment(44);
  for (unsigned value = 0; value < 65536; ++value) {
    payload[0] = static_cast<std::byte>(value >> 8);
    payload[1] = static_cast<std::byte>(value & 0xff);
    Segmenter::of(frame, frames_.arena(), Ipv4Ids::incrementing)->write(segment.data());
    ASSERT_NE(segment[40] | segment[41], std::byte{0}) << value;
  }
}

TEST_F(Segments, OfAWrongPseudoHeaderSumStayWrong) {
  Packet packet = super_frame({}, 300, 100);
  packet.bytes[50] ^= std::byte{1};
  for (const Bytes& segment : split(packet)) {
    const auto len = static_cast<std::uint32_t>(segment.size());
    EXPECT_FALSE(l4_checksum_holds(segment.data(), *find_headers(segment.data(), len), len));
  }
}

TEST_F(Segments, CrossFragmentsOfAnyLength) {
  // The chain is cut elsewhere than the segments, at odd bytes, also into nothing.
  const Packet whole = super_frame({}, 1000, 300);
  const std::uint32_t cuts[] = {54, 61, 61, 300, 301, 900, 1054};
  Packet head = whole;
  head.bytes.resize(cuts[0]);
  Frame& frame = frames_.put(head);
  for (std::size_t i = 1; i < std::size(cuts); ++i) {
    Packet piece;
    piece.bytes.assign(whole.bytes.begin() + cuts[i - 1], whole.bytes.begin() + cuts[i]);
    chain(frame, frames_.put(piece), 0);
  }
  EXPECT_EQ(split(frame), expected({}, 1000, 300));
  EXPECT_EQ(frames_.look(frame).bytes, whole.bytes) << "the frame is unchanged";
}

TEST_F(Segments, OfASuperFrameWithoutPayloadAreItself) {
  EXPECT_EQ(split(super_frame({}, 0, 100)).size(), 1U);
}

TEST_F(Segments, AreNotMadeOfWhatCannotBeSplit) {
  const Packet good = super_frame({}, 300, 100);
  ASSERT_TRUE(splits(good));
  const auto with = [&](auto change) {
    Packet packet = good;
    change(packet);
    return splits(packet);
  };
  EXPECT_FALSE(with([](Packet& p) { p.meta.gso_type = 0; })) << "plain";
  EXPECT_FALSE(with([](Packet& p) { p.meta.gso_type = 3; })) << "UDP fragmentation";
  EXPECT_FALSE(with([](Packet& p) { p.meta.gso_type = kGsoTcpv6; })) << "of the other family";
  EXPECT_FALSE(with([](Packet& p) { p.meta.gso_type = kGsoUdpL4; })) << "checksum elsewhere";
  EXPECT_FALSE(with([](Packet& p) { p.meta.gso_size = 0; }));
  EXPECT_FALSE(with([](Packet& p) { p.meta.ip_summed = IpSummed::none; }));
  EXPECT_FALSE(with([](Packet& p) { p.meta.csum_start = 10; })) << "inside Ethernet";
  EXPECT_FALSE(with([](Packet& p) { p.meta.csum_start = 38; })) << "not behind the IPv4 header";
  EXPECT_FALSE(with([](Packet& p) { p.meta.csum_start = 60000; })) << "behind the frame";
  EXPECT_FALSE(with([](Packet& p) { p.bytes[46] = std::byte{0x40}; })) << "TCP header too short";
  EXPECT_FALSE(with([](Packet& p) { p.bytes[13] = std::byte{6}; })) << "ARP";
  for (std::size_t len = 0; len < 54; ++len)
    EXPECT_FALSE(with([len](Packet& p) { p.bytes.resize(len); })) << len;
}

}  // namespace
}  // namespace vethd

// Finishing frames for a device that takes no others, against packets built finished.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/validate_xmit.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Check;
using test::Packet;
using test::Spec;

const Spec kSpecs[] = {{},
                       {.tcp = false},
                       {.ipv6 = true},
                       {.ipv6 = true, .tcp = false},
                       {.tags = 2, .tcp_options = Bytes(12, std::byte{1})},
                       {.network_options = Bytes(8)},
                       {.ipv6 = true, .network_options = test::extension_header(6)},
                       {.payload = 101},
                       {.tcp = false, .payload = 0},
                       {.payload = 10, .padding = 6}};

Packet unfinished(Spec spec) {
  spec.check = Check::unfinished;
  return test::build(spec);
}

Packet super_frame(Spec spec, std::uint32_t payload, std::uint16_t gso_size) {
  spec.payload = payload;
  Packet packet = unfinished(spec);
  packet.meta.gso_type = !spec.tcp ? kGsoUdpL4 : spec.ipv6 ? kGsoTcpv6 : kGsoTcpv4;
  packet.meta.gso_size = gso_size;
  return packet;
}

class ValidateXmit : public testing::Test {
 protected:
  ~ValidateXmit() override {
    // Whatever happened, every frame and chunk is still there.
    for (FrameList* list : {&leaving_, &spent_})
      while (Frame* frame = list->pop()) frames_.pool().release(*frame);
    EXPECT_EQ(frames_.pool().free_frames(), frames_.arena().plan().frames_per_worker());
  }

  Frame& put(const Packet& packet, std::uint32_t path = 3) {
    Frame& frame = frames_.put(packet);
    frame.path = {path};
    leaving_.push(frame);
    return frame;
  }
  /// The bytes that leave, in order; none asks for anything.
  std::vector<Bytes> run(std::size_t room = SIZE_MAX) {
    validate_xmit(leaving_, room, frames_.pool(), counters_, spent_);
    std::vector<Bytes> out;
    leaving_.for_each([&](const Frame& frame) {
      EXPECT_EQ(frame.meta.ip_summed, IpSummed::none);
      EXPECT_EQ(frame.meta.gso_type, 0);
      EXPECT_EQ(frame.path.value, 3U);
      out.push_back(frames_.look(frame).bytes);
    });
    return out;
  }

  test::Frames frames_;
  FrameList leaving_{Holder::transmit};
  FrameList spent_{Holder::transmit};
  Counters counters_;
};

TEST_F(ValidateXmit, FinishesWhatIsUnfinishedAndTouchesNothingElse) {
  std::vector<Bytes> expected;
  for (const Spec& spec : kSpecs) {
    put(unfinished(spec));
    expected.push_back(test::build(spec).bytes);
    Packet wrong = test::build(spec);
    wrong.bytes.back() ^= std::byte{1};  // arrives as wrong as it left
    put(wrong);
    expected.push_back(wrong.bytes);
  }
  EXPECT_EQ(run(), expected);
  EXPECT_TRUE(spent_.empty());
  EXPECT_EQ(counters_.split_frames, 0U);
}

TEST_F(ValidateXmit, OfUdpNeverSaysThatThereIsNoChecksum) {
  // One of 65536 payloads sums up to zero.
  Packet packet = unfinished({.tcp = false, .payload = 2});
  Frame& frame = put(packet);
  for (unsigned value = 0; value < 65536; ++value) {
    std::ranges::copy(packet.bytes, frames_.arena().bytes_of(frame));
    std::byte* const data = frames_.arena().bytes_of(frame);
    data[42] = static_cast<std::byte>(value >> 8);
    data[43] = static_cast<std::byte>(value & 0xff);
    ASSERT_TRUE(finish_checksum(frame, frames_.arena()));
    ASSERT_NE(data[40] | data[41], std::byte{0}) << value;
  }
}

TEST_F(ValidateXmit, SplitsSuperFramesWhereTheyStand) {
  std::vector<Bytes> expected;
  std::uint64_t beyond_first = 0;
  for (Spec spec : kSpecs) {
    if (spec.payload == 0 || spec.padding != 0) continue;
    put(test::build(spec));
    expected.push_back(test::build(spec).bytes);
    put(super_frame(spec, 2500, 1000));
    for (const std::uint32_t payload : {1000U, 1000U, 500U}) {
      spec.payload = payload;
      expected.push_back(test::build(spec).bytes);
      spec = test::following(spec);
    }
    beyond_first += 2;
  }
  EXPECT_EQ(run(), expected);
  EXPECT_EQ(counters_.split_frames, beyond_first);
  EXPECT_EQ(spent_.size(), beyond_first / 2);
}

TEST_F(ValidateXmit, SumsOverTheFragmentsOfAFrame) {
  const Spec spec{.payload = 300};
  const Packet whole = unfinished(spec);
  for (const std::size_t cut : {100U, 101U, 353U}) {  // odd ones turn the sum of what follows
    const auto at = static_cast<std::ptrdiff_t>(cut);
    Packet head{.bytes = {whole.bytes.begin(), whole.bytes.begin() + at}, .meta = whole.meta};
    Frame& frame = frames_.put(head);
    Packet tail{.bytes = {whole.bytes.begin() + at, whole.bytes.end()}, .meta = {}};
    chain(frame, frames_.put(tail), 0);
    frame.path = {3};
    leaving_.push(frame);
  }
  EXPECT_EQ(run(), std::vector<Bytes>(3, test::build(spec).bytes));
}

TEST_F(ValidateXmit, DropsWhatCannotBeFinishedAndSaysWhy) {
  Packet outside = unfinished({});
  outside.meta.csum_start = static_cast<std::uint16_t>(outside.bytes.size() - 1);
  put(outside);
  Packet edge = unfinished({});
  edge.meta.csum_start = static_cast<std::uint16_t>(edge.bytes.size() - 17);
  edge.meta.csum_offset = 16;
  put(edge);
  Packet finished = super_frame({}, 2000, 1000);
  finished.meta.ip_summed = IpSummed::none;
  put(finished);
  put(super_frame({}, 9000, 4000));
  put(test::build({}));
  EXPECT_EQ(run().size(), 1U);
  EXPECT_EQ(spent_.size(), 4U);
  EXPECT_EQ(counters_.drop_bad_csum_start, 2U);
  EXPECT_EQ(counters_.drop_not_segmentable, 1U);
  EXPECT_EQ(counters_.drop_too_long, 1U);
  EXPECT_EQ(counters_.split_frames, 0U);
}

TEST_F(ValidateXmit, AccountsForSegmentsTheArenaHasNoChunkFor) {
  put(super_frame({}, 10000, 1000));
  FrameList taken(Holder::endpoint);
  while (frames_.pool().free_chunks() > 4) taken.push(*frames_.pool().take_chunk());
  EXPECT_EQ(run().size(), 4U);
  EXPECT_EQ(counters_.split_frames, 9U);
  EXPECT_EQ(counters_.drop_no_chunk, 6U);
  while (Frame* frame = taken.pop()) frames_.pool().release(*frame);
}

TEST_F(ValidateXmit, SplitsNoMoreThanTheDeviceHasRoomFor) {
  put(test::build({}));
  put(super_frame({}, 10000, 1000));
  put(super_frame({}, 10000, 1000));
  const std::size_t chunks = frames_.pool().free_chunks();
  EXPECT_EQ(run(4).size(), 4U);
  EXPECT_EQ(chunks - frames_.pool().free_chunks(), 3U);
  EXPECT_EQ(counters_.split_frames, 18U);
  EXPECT_EQ(counters_.drop_tx_ring_full, 17U);
  EXPECT_EQ(counters_.drop_no_chunk, 0U);
}

}  // namespace
}  // namespace vethd

// Merge on delivery: what leaves as one, what stays alone, and that nobody can tell afterwards.
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/coalesce.hpp"
#include "daemon/pipeline/merge.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/segment.hpp"
#include "tests/unit/pipeline/packets.hpp"
#include "tests/unit/pipeline/random_traffic.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Check;
using test::Packet;
using test::Spec;

Device willing() {
  Device device;
  device.coalesce = Merge::tcp_and_udp;
  device.takes_merged = Merge::tcp_and_udp;
  return device;
}

const Spec kDatagram{.tcp = false, .payload = 18, .check = Check::unfinished};

/// Where frames leave.
class Leaving : public test::Frames {
 public:
  void put(const Packet& packet) { frames_.push(test::Frames::put(packet)); }
  void put(const Spec& spec) { put(test::build(spec)); }
  /// A spec and those that follow it.
  Spec put(Spec spec, int frames) {
    for (; frames > 0; --frames) {
      put(spec);
      spec = test::following(spec);
    }
    return spec;
  }

  /// Its last bytes are in another buffer.
  void put_in_pieces(const Spec& spec) {
    constexpr std::uint32_t kTail = 8;
    Frame& frame = test::Frames::put(test::build(spec));
    Frame& piece = test::Frames::put(test::build(spec));
    frame.len -= kTail;
    chain(frame, piece, piece.len - kTail);
    frames_.push(frame);
  }

  /// What is written, as the number of frames in each.
  std::vector<std::uint32_t> write(const Device& receiver = willing(),
                                   const Device& sender = willing()) {
    coalesce(frames_, sender, receiver, arena());
    std::vector<std::uint32_t> frames;
    frames_.for_each([&](const Frame& frame) { frames.push_back(frame.frames()); });
    return frames;
  }
  [[nodiscard]] const Frame& first() const { return *frames_.front(); }
  FrameList& written() { return frames_; }

  /// After which others can leave.
  void release() {
    while (Frame* frame = frames_.pop()) pool().release(*frame);
  }

 private:
  FrameList frames_{Holder::transmit};
};

using Written = std::vector<std::uint32_t>;

TEST(Coalesce, LeavesAFrameOfSeveralPiecesAsItCame) {
  Leaving leaving;
  leaving.put(kDatagram);
  leaving.put_in_pieces(kDatagram);  // as an AF_XDP socket receives a long frame
  leaving.put(kDatagram);
  EXPECT_EQ(leaving.write(), Written({1, 1, 1}));
  leaving.written().for_each([](const Frame& frame) {
    EXPECT_EQ(frame.meta.gso_type, 0);
    EXPECT_FALSE(frame.coalesced);
  });
}

TEST(Coalesce, WritesFramesOfAFlowThatLeaveInARowAsOne) {
  Leaving leaving;
  leaving.put(kDatagram, 5);
  EXPECT_EQ(leaving.write(), Written({5}));
  const Frame& frame = leaving.first();
  EXPECT_EQ(frame.meta.gso_type, kGsoUdpL4);
  EXPECT_EQ(frame.meta.gso_size, 18);
  EXPECT_EQ(frame.len, 42U + 5 * 18);
  EXPECT_EQ(frame.bytes(), 5U * 60) << "the ledger counts every header";
}

TEST(Coalesce, TakesTcpOfBothFamilies) {
  for (const bool ipv6 : {false, true}) {
    Leaving leaving;
    leaving.put({.ipv6 = ipv6}, 3);
    EXPECT_EQ(leaving.write(), Written({3}));
    EXPECT_EQ(leaving.first().meta.gso_type, ipv6 ? kGsoTcpv6 : kGsoTcpv4);
  }
}

TEST(Coalesce, LetsNoFlowOvertakeAnother) {
  Leaving leaving;
  Spec a = kDatagram;
  Spec b = kDatagram;
  b.source_port = 9;
  a = leaving.put(a, 2);
  b = leaving.put(b, 1);
  leaving.put(a, 2);
  leaving.put(b, 3);
  EXPECT_EQ(leaving.write(), Written({2, 1, 2, 3}));
}

TEST(Coalesce, TouchesNothingThatStaysAlone) {
  Leaving leaving;
  Spec other = kDatagram;
  other.source_port = 9;
  const Packet first = test::build(kDatagram);
  const Packet second = test::build(other);
  leaving.put(first);
  leaving.put(second);
  EXPECT_EQ(leaving.write(), Written({1, 1}));
  Frame& one = *leaving.written().pop();
  Frame& two = *leaving.written().pop();
  test::expect_same(leaving.look(one), first, "first");
  test::expect_same(leaving.look(two), second, "second");
  leaving.pool().release(one);
  leaving.pool().release(two);
}

TEST(Coalesce, LeavesAWrongChecksumAloneInItsPlace) {
  for (const bool tcp : {false, true}) {
    Leaving leaving;
    Spec spec = leaving.put({.tcp = tcp}, 2);
    Packet damaged = test::build(spec);
    damaged.bytes.back() ^= std::byte{1};
    leaving.put(damaged);
    leaving.put(test::following(spec), 2);
    EXPECT_EQ(leaving.write(), Written({2, 1, 2}));
  }
}

TEST(Coalesce, LeavesDatagramsWithoutChecksumAlone) {
  Leaving leaving;
  Spec spec = kDatagram;
  spec.check = Check::zero;
  leaving.put(spec, 3);
  EXPECT_EQ(leaving.write(), Written({1, 1, 1}));
}

TEST(Coalesce, WritesDatagramsAsOneOnlyWhereTheDeviceTakesThem) {
  Device receiver = willing();
  receiver.takes_merged = Merge::tcp;
  Leaving leaving;
  leaving.put(kDatagram, 2);
  EXPECT_EQ(leaving.write(receiver), Written({1, 1}));
  leaving.release();
  leaving.put({}, 2);
  EXPECT_EQ(leaving.write(receiver), Written({2}));
}

TEST(Coalesce, LeavesFramesToTheReceiversOwnGroAndProgram) {
  for (bool Device::* const own : {&Device::gro, &Device::has_xdp}) {
    Device receiver = willing();
    receiver.*own = true;
    Leaving leaving;
    leaving.put(kDatagram, 3);
    EXPECT_EQ(leaving.write(receiver), Written({1, 1, 1}));
  }
}

TEST(Coalesce, MergesOfASenderWhatControlAllows) {
  struct Row {
    Merge allowed;
    Written datagrams;
    Written segments;
  };
  for (const Row& row : {Row{Merge::none, {1, 1, 1}, {1, 1, 1}}, Row{Merge::tcp, {1, 1, 1}, {3}},
                         Row{Merge::tcp_and_udp, {3}, {3}}}) {
    Device sender = willing();
    sender.coalesce = row.allowed;
    Device receiver = willing();
    receiver.coalesce = Merge::none;  // the other way is another matter
    Leaving leaving;
    leaving.put(kDatagram, 3);
    EXPECT_EQ(leaving.write(receiver, sender), row.datagrams);
    leaving.release();
    leaving.put({}, 3);
    EXPECT_EQ(leaving.write(receiver, sender), row.segments);
  }
}

TEST(Coalesce, WritesNoMoreSegmentsThanATapTakes) {
  Leaving leaving;
  leaving.put(kDatagram, 100);
  EXPECT_EQ(leaving.write(), Written({kMaxUdpSegments, 100 - kMaxUdpSegments}));
}

TEST(Coalesce, EndsWithAShorterDatagram) {
  Leaving leaving;
  Spec spec = leaving.put(kDatagram, 2);
  spec.payload = 10;
  spec = leaving.put(spec, 1);
  leaving.put(spec, 2);
  EXPECT_EQ(leaving.write(), Written({3, 2}));
}

TEST(Coalesce, LeavesSuperFramesAsTheyCame) {
  Leaving leaving;
  Packet super = test::build({.payload = 300, .check = Check::unfinished});
  super.meta.gso_type = kGsoTcpv4;
  super.meta.gso_size = 100;
  leaving.put(super);
  leaving.put(test::following({.payload = 300, .check = Check::unfinished}), 2);
  EXPECT_EQ(leaving.write(), Written({1, 2}));
  EXPECT_EQ(leaving.first().meta.gso_size, 100);
}

TEST(Coalesce, RenumbersIpv4IdsOnlyWhereNobodyNeedsThem) {
  const auto written = [](std::uint16_t fragment, std::uint16_t step) {
    Leaving leaving;
    Spec spec = kDatagram;
    spec.fragment = fragment;
    for (int i = 0; i < 3; ++i) {
      leaving.put(spec);
      const auto id = static_cast<std::uint16_t>(spec.id + step);
      spec = test::following(spec);
      spec.id = id;
    }
    return leaving.write();
  };
  constexpr std::uint16_t kDf = 0x4000;
  EXPECT_EQ(written(kDf, 1), Written({3}));
  EXPECT_EQ(written(0, 1), Written({3}));
  EXPECT_EQ(written(kDf, 0), Written({3})) << "atomic: RFC 6864";
  EXPECT_EQ(written(0, 0), Written({1, 1, 1})) << "fragments would be mixed up";
  EXPECT_EQ(written(kDf, 7), Written({1, 1, 1}));
}

/// Whatever leaves, splitting what was written gives it back, in order.
class CoalesceProperty {
 public:
  explicit CoalesceProperty(std::uint64_t seed) : random_(seed) {
    constexpr std::uint32_t kFlows = 4;
    for (std::uint32_t i = 0; i < kFlows; ++i) flows_.push_back(test::random_flow(random_, i));
  }

  void run() {
    constexpr int kRounds = 200;
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
      for (std::uint32_t bursts = random_.below(6); bursts > 0; --bursts) {
        test::Flow& flow = flows_[random_.below(static_cast<std::uint32_t>(flows_.size()))];
        for (std::uint32_t burst = 1 + random_.below(20); burst > 0; --burst) {
          sent_.push_back(test::random_packet(random_, flow));
          leaving_.put(sent_.back().packet);
        }
      }
      leaving_.write();
      leaving_.written().for_each([this](const Frame& frame) { arrives(frame); });
      EXPECT_TRUE(sent_.empty()) << "all that left was written";
      leaving_.release();
    }
    EXPECT_GT(merged_, 0U);
  }

 private:
  void arrives(const Frame& frame) {
    if (frame.frags == 0) {
      ASSERT_FALSE(sent_.empty());
      test::expect_same(leaving_.look(frame), sent_.front().packet, "alone");
      return sent_.pop_front();
    }
    ++merged_;
    EXPECT_EQ(frame.frames(), frame.frags + 1U);
    ASSERT_GE(sent_.size(), frame.frames());
    std::uint32_t bytes = 0;
    for (std::uint32_t i = 0; i < frame.frames(); ++i)
      bytes += static_cast<std::uint32_t>(sent_[i].finished.size());
    EXPECT_EQ(frame.bytes(), bytes);
    // A vnet header cannot say whether the ids stand; here they must not matter.
    for (const Ipv4Ids ids : {Ipv4Ids::incrementing, Ipv4Ids::constant})
      if (splits_into_sent(frame, ids)) {
        sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(frame.frames()));
        return;
      }
    ADD_FAILURE() << "split, and as nothing that was sent";
  }

  bool splits_into_sent(const Frame& frame, Ipv4Ids ids) {
    auto segmenter = Segmenter::of(frame, leaving_.arena(), ids);
    EXPECT_TRUE(segmenter);
    for (std::uint32_t i = 0; segmenter && i < frame.frames(); ++i) {
      Bytes segment(segmenter->max_bytes());
      segment.resize(segmenter->write(segment.data()));
      if (segment != sent_[i].finished || sent_[i].damaged) return false;
    }
    return segmenter && segmenter->done();
  }

  Random random_;
  Leaving leaving_;
  std::vector<test::Flow> flows_;
  std::deque<test::Sent> sent_;
  std::size_t merged_ = 0;
};

TEST(Coalesce, SplittingGivesBackWhatLeftInItsOrder) {
  const std::uint64_t untried = std::random_device{}();
  std::printf("random seed %llu\n", static_cast<unsigned long long>(untried));
  for (const std::uint64_t seed : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, untried}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    CoalesceProperty(seed).run();
  }
}

}  // namespace
}  // namespace vethd

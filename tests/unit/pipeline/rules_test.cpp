// What differs between the kernels, written out once more as the table it comes from, for the rules
// that act on a single frame.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <ostream>
#include <string>

#include "daemon/pipeline/eth.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/scrub.hpp"

namespace vethd {
namespace {

enum class When : std::uint8_t { always, never, if_xnet };

/// When a scrub clears a field; for the time, by the clock it is of.
struct Row {
  const Rules* rules;
  When mark;
  When classid;
  When fwd_mark;
  When arrival_time;
  When monotonic_time;
  When tai_time;
};
std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.rules->kernel; }

using enum When;
constexpr std::array kTable = {
    Row{&kRules414, always, always, never, always, always, always},
    Row{&kRules54, always, never, always, always, always, always},
    Row{&kRules61, if_xnet, never, always, if_xnet, never, if_xnet},
    Row{&kRules612, if_xnet, never, always, if_xnet, never, never},
    Row{&kRules618, if_xnet, never, always, if_xnet, never, never},
};

class ScrubTable : public testing::TestWithParam<Row> {
 protected:
  /// Everything that can be cleared, set.
  static FrameMeta full(TstampType type) {
    FrameMeta meta;
    meta.pkt_type = PacketType::otherhost;
    meta.tstamp_type = type;
    meta.references = kRefAll;
    meta.skb_iif = 5;
    meta.mark = 6;
    meta.priority = 7;
    meta.classid = 8;
    meta.tstamp = 9;
    return meta;
  }
  FrameMeta scrubbed(FrameMeta meta, bool xnet) {
    path_.counters = {};
    path_.dev.netns = 1;
    path_.peer.netns = xnet ? 2 : 1;
    scrub(*GetParam().rules, path_, meta);
    return meta;
  }
  static bool applies(When when, bool xnet) { return when == always || (when == if_xnet && xnet); }

  Path path_;
};

TEST_P(ScrubTable, ClearsWhatTheVersionClears) {
  const Row& row = GetParam();
  for (const bool xnet : {false, true}) {
    SCOPED_TRACE(xnet ? "namespace changes" : "namespace stays");
    const FrameMeta meta = scrubbed(full(TstampType::realtime), xnet);
    EXPECT_EQ(meta.mark, applies(row.mark, xnet) ? 0U : 6U);
    EXPECT_EQ(meta.classid, applies(row.classid, xnet) ? 0U : 8U);
    EXPECT_EQ(meta.references, applies(row.fwd_mark, xnet) ? 0 : kRefFwdMark);
    EXPECT_EQ(meta.priority, 0U);
    EXPECT_EQ(meta.skb_iif, 0U);
    EXPECT_EQ(meta.pkt_type, PacketType::host);
  }
}

TEST_P(ScrubTable, ClearsTheTimeUnlessTheVersionTakesItForADeliveryTime) {
  const Row& row = GetParam();
  for (const bool xnet : {false, true})
    for (const auto& [type, when] : {std::pair{TstampType::realtime, row.arrival_time},
                                     {TstampType::monotonic, row.monotonic_time},
                                     {TstampType::tai, row.tai_time}})
      EXPECT_EQ(scrubbed(full(type), xnet).tstamp, applies(when, xnet) ? 0 : 9)
          << "xnet " << xnet << " clock " << static_cast<int>(type);
}

TEST_P(ScrubTable, CountsWhatItTookAwayAndOnlyThat) {
  const Row& row = GetParam();
  for (const bool xnet : {false, true}) {
    scrubbed(full(TstampType::realtime), xnet);
    EXPECT_EQ(path_.counters.mark_cleared, applies(row.mark, xnet) ? 1U : 0U);
    EXPECT_EQ(path_.counters.classid_cleared, applies(row.classid, xnet) ? 1U : 0U);
    EXPECT_EQ(path_.counters.priority_cleared, 1U);
    scrubbed({}, xnet);
    EXPECT_EQ(path_.counters.mark_cleared, 0U);
    EXPECT_EQ(path_.counters.classid_cleared, 0U);
    EXPECT_EQ(path_.counters.priority_cleared, 0U);
  }
}

TEST_P(ScrubTable, KeepsChecksumSegmentationHashAndQueue) {
  FrameMeta before = full(TstampType::realtime);
  before.ip_summed = IpSummed::partial;
  before.csum_start = 34;
  before.csum_offset = 16;
  before.gso_type = 1;
  before.gso_size = 1448;
  before.hdr_len = 54;
  before.hash = 0x1234;
  before.l4_hash = true;
  before.queue_mapping = 3;
  const FrameMeta meta = scrubbed(before, true);
  EXPECT_EQ(meta.ip_summed, before.ip_summed);
  EXPECT_EQ(meta.csum_start, before.csum_start);
  EXPECT_EQ(meta.csum_offset, before.csum_offset);
  EXPECT_EQ(meta.gso_type, before.gso_type);
  EXPECT_EQ(meta.gso_size, before.gso_size);
  EXPECT_EQ(meta.hdr_len, before.hdr_len);
  EXPECT_EQ(meta.hash, before.hash);
  EXPECT_EQ(meta.l4_hash, before.l4_hash);
  EXPECT_EQ(meta.queue_mapping, before.queue_mapping);
}

INSTANTIATE_TEST_SUITE_P(Kernels, ScrubTable, testing::ValuesIn(kTable), [](const auto& row) {
  std::string name(row.param.rules->kernel);
  name[name.find('.')] = '_';
  return name;
});

TEST(EthTypeTransByVersion, TakesItsOwnGroupAddressForAGroupIn414Only) {
  constexpr std::array<std::uint8_t, 6> kOdd = {3, 0, 0, 0, 0, 1};
  std::array<std::byte, kEthHeaderBytes> bytes{};
  std::memcpy(bytes.data(), kOdd.data(), kOdd.size());
  Device peer;
  peer.dev_addr = {kOdd};
  for (const Rules* rules : kAllRules) {
    Frame frame;
    frame.len = kEthHeaderBytes;
    eth_type_trans(*rules, frame, bytes.data(), peer);
    EXPECT_EQ(frame.meta.pkt_type, rules == &kRules414 ? PacketType::multicast : PacketType::host)
        << rules->kernel;
  }
}

/// An IPv4 UDP frame from 10.0.0.a port p to 10.0.0.b port q.
FlowKeys keys_of(std::uint8_t a, std::uint16_t p, std::uint8_t b, std::uint16_t q,
                 const Rules& rules) {
  std::array<std::byte, kEthHeaderBytes + 28> bytes{};
  const auto put = [&](std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::byte>(value >> 8);
    bytes[at + 1] = static_cast<std::byte>(value & 0xff);
  };
  put(12, 0x0800);
  put(14, 0x4500);
  put(16, 28);
  put(22, 0x4011);
  put(26, 0x0a00);
  put(28, a);
  put(30, 0x0a00);
  put(32, b);
  put(34, p);
  put(36, q);
  return dissect_flow(bytes.data(), bytes.size(), FlowLabel::stops, rules);
}

TEST(FlowHashByVersion, IsSymmetricInAll) {
  for (const Rules* rules : kAllRules)
    for (const auto& [a, p, b, q] :
         {std::tuple{1, 10, 2, 20}, {1, 20, 2, 10}, {2, 7, 2, 9}, {9, 5, 3, 5}})
      EXPECT_EQ(keys_of(static_cast<std::uint8_t>(a), static_cast<std::uint16_t>(p),
                        static_cast<std::uint8_t>(b), static_cast<std::uint16_t>(q), *rules),
                keys_of(static_cast<std::uint8_t>(b), static_cast<std::uint16_t>(q),
                        static_cast<std::uint8_t>(a), static_cast<std::uint16_t>(p), *rules))
          << rules->kernel;
}

TEST(FlowHashByVersion, KeepsPortsWithTheirAddressesIn414And54Only) {
  for (const Rules* rules : kAllRules) {
    const bool together = rules == &kRules414 || rules == &kRules54;
    EXPECT_EQ(keys_of(1, 10, 2, 20, *rules) == keys_of(1, 20, 2, 10, *rules), !together)
        << rules->kernel;
  }
}

}  // namespace
}  // namespace vethd

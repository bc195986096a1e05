// The stages between a read frame and its backlog, one by one.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "daemon/pipeline/eth.hpp"
#include "daemon/pipeline/forward.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {
namespace {

Frame frame_of(std::uint32_t len) {
  Frame frame;
  frame.len = len;
  return frame;
}

// --- is_skb_forwardable() ---------------------------------------------------------------------

using Header = std::array<std::byte, kEthHeaderBytes>;

Header header_of(std::uint16_t type) {
  Header header{};
  store_be16(header.data() + kEthHeaderBytes - 2, type);
  return header;
}

TEST(Forwardable, TakesMtuHeaderAndOneTagButNotAByteMore) {
  const Header plain = header_of(0x0800);
  for (const std::uint32_t mtu : {68U, 1500U, 9000U, 65535U}) {
    Device peer;
    peer.mtu = mtu;
    EXPECT_TRUE(is_skb_forwardable(peer, frame_of(mtu + 18), plain.data()));
    EXPECT_FALSE(is_skb_forwardable(peer, frame_of(mtu + 19), plain.data()));
  }
}

TEST(Forwardable, DoesNotCountTheOuterTag) {
  const Device peer;
  for (const std::uint16_t type : {std::uint16_t{0x8100}, std::uint16_t{0x88a8}}) {
    const Header tagged = header_of(type);
    EXPECT_TRUE(is_skb_forwardable(peer, frame_of(1522), tagged.data()));
    EXPECT_FALSE(is_skb_forwardable(peer, frame_of(1523), tagged.data()));
    EXPECT_EQ(skb_len(104, type), 100U);
    EXPECT_EQ(skb_len(17, type), 17U) << "too short to have a tag";
  }
  EXPECT_EQ(skb_len(104, 0x0800), 104U);
}

TEST(Forwardable, LetsASuperFrameOfAnyLengthPass) {
  const Device peer;
  Frame frame = frame_of(65549);
  const Header plain = header_of(0x0800);
  EXPECT_FALSE(is_skb_forwardable(peer, frame, plain.data()));
  frame.meta.gso_type = 1;
  EXPECT_TRUE(is_skb_forwardable(peer, frame, plain.data()));
}

// --- eth_type_trans() -------------------------------------------------------------------------

struct Ethernet {
  std::array<std::uint8_t, 6> destination;
  std::uint16_t type;
  std::vector<std::uint8_t> payload;
};

constexpr std::array<std::uint8_t, 6> kOwn = {2, 0, 0, 0, 0, 1};

/// In a buffer of exactly the frame's size, so that a sanitizer sees each byte read too many.
FrameMeta type_trans(const Ethernet& ethernet, const std::array<std::uint8_t, 6>& own = kOwn,
                     const Rules& rules = kRules618) {
  std::vector<std::byte> bytes(kEthHeaderBytes + ethernet.payload.size());
  std::memcpy(bytes.data(), ethernet.destination.data(), 6);
  bytes[12] = static_cast<std::byte>(ethernet.type >> 8);
  bytes[13] = static_cast<std::byte>(ethernet.type & 0xff);
  if (!ethernet.payload.empty())
    std::memcpy(bytes.data() + kEthHeaderBytes, ethernet.payload.data(), ethernet.payload.size());
  Device peer;
  peer.dev_addr = {own};
  Frame frame = frame_of(static_cast<std::uint32_t>(bytes.size()));
  eth_type_trans(rules, frame, bytes.data(), peer);
  return frame.meta;
}

TEST(EthTypeTrans, TellsWhomAFrameIsFor) {
  const auto type_of = [](std::array<std::uint8_t, 6> destination) {
    return type_trans({destination, 0x0800, {}}).pkt_type;
  };
  EXPECT_EQ(type_of(kOwn), PacketType::host);
  EXPECT_EQ(type_of({2, 0, 0, 0, 0, 2}), PacketType::otherhost);
  EXPECT_EQ(type_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), PacketType::broadcast);
  EXPECT_EQ(type_of({0x33, 0x33, 0, 0, 0, 1}), PacketType::multicast);
  EXPECT_EQ(type_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xfe}), PacketType::multicast);
}

TEST(EthTypeTrans, ComparesTheOwnAddressBeforeTheMulticastBit) {
  const std::array<std::uint8_t, 6> odd = {3, 0, 0, 0, 0, 1};
  EXPECT_EQ(type_trans({odd, 0x0800, {}}, odd).pkt_type, PacketType::host);
}

TEST(EthTypeTrans, ReadsTheTypeFrom1536On) {
  EXPECT_EQ(type_trans({kOwn, 0x86dd, {}}).protocol, 0x86dd);
  EXPECT_EQ(type_trans({kOwn, 0x0600, {}}).protocol, 0x0600);
}

TEST(EthTypeTrans, TakesALengthFor8022UnlessThePayloadIsRawIpx) {
  EXPECT_EQ(type_trans({kOwn, 0x05ff, {0xaa, 0xaa}}).protocol, kEthP8022);
  EXPECT_EQ(type_trans({kOwn, 0x05ff, {0xff, 0xff}}).protocol, kEthP8023);
  EXPECT_EQ(type_trans({kOwn, 0x05ff, {0xff, 0xfe}}).protocol, kEthP8022);
}

TEST(EthTypeTrans, DoesNotLookBehindAShortFrame) {
  EXPECT_EQ(type_trans({kOwn, 2, {}}).protocol, kEthP8022);
  EXPECT_EQ(type_trans({kOwn, 2, {0xff}}).protocol, kEthP8022);
}

// --- skb_postpull_rcsum() ---------------------------------------------------------------------

TEST(PostpullRcsum, VoidsAnUnfinishedChecksumThatStartsInThePulledHeader) {
  FrameMeta meta;
  meta.ip_summed = IpSummed::partial;
  meta.csum_start = kEthHeaderBytes - 1;
  skb_postpull_rcsum(meta);
  EXPECT_EQ(meta.ip_summed, IpSummed::none);
}

TEST(PostpullRcsum, LeavesEveryOtherChecksumAlone) {
  for (const IpSummed summed : {IpSummed::none, IpSummed::unnecessary, IpSummed::partial}) {
    FrameMeta meta;
    meta.ip_summed = summed;
    meta.csum_start = summed == IpSummed::partial ? kEthHeaderBytes : 0;
    skb_postpull_rcsum(meta);
    EXPECT_EQ(meta.ip_summed, summed);
  }
}

// --- get_rps_cpu() ----------------------------------------------------------------------------

class Rps : public testing::Test {
 protected:
  Rps() { path_.softnet = machine_.softnet_data[0].get(); }

  std::optional<CpuId> choose(Frame& frame) { return get_rps_cpu(path_, frame, bytes_.data()).cpu; }

  Machine machine_{{.hash_key = {1, 2}, .cpus = 8}};
  Path path_;
  Device& peer_ = path_.peer;
  std::vector<std::byte> bytes_ = std::vector<std::byte>(kEthHeaderBytes);
  Frame frame_ = frame_of(kEthHeaderBytes);
};

TEST_F(Rps, WithoutAMapStaysAndComputesNoHash) {
  EXPECT_EQ(choose(frame_), std::nullopt);
  EXPECT_EQ(frame_.meta.hash, 0U);
}

TEST_F(Rps, ScalesTheHashOverTheMap) {
  peer_.rps_cpus = {{CpuId{1}, CpuId{3}, CpuId{5}}};
  for (const auto& [hash, cpu] : {std::pair{1U, 1U},
                                  {0x55555555U, 1U},
                                  {0x55555556U, 3U},
                                  {0xaaaaaaaaU, 3U},
                                  {0xaaaaaaabU, 5U},
                                  {0xffffffffU, 5U}}) {
    frame_.meta.hash = hash;
    EXPECT_EQ(choose(frame_), CpuId{cpu}) << std::hex << hash;
  }
}

TEST_F(Rps, KeepsTheHashOnTheFrame) {
  peer_.rps_cpus = {{CpuId{0}, CpuId{1}}};
  const auto first = choose(frame_);
  EXPECT_NE(frame_.meta.hash, 0U);
  EXPECT_EQ(choose(frame_), first);
}

TEST_F(Rps, StaysWhenTheReceiverHasNoSuchQueue) {
  peer_.rps_cpus = {{CpuId{1}}};
  peer_.real_num_rx_queues = 2;
  frame_.meta.queue_mapping = 2;  // recorded: the receiver's queue 1
  EXPECT_EQ(choose(frame_), CpuId{1});
  frame_.meta.queue_mapping = 3;
  EXPECT_EQ(choose(frame_), std::nullopt);
}

TEST_F(Rps, GoesByTheMapOfTheReceiversQueue) {
  peer_.rps_cpus = {{CpuId{1}}, {}, {CpuId{5}}};
  peer_.real_num_rx_queues = 3;
  for (const auto& [mapping, cpu] : {std::pair<std::uint16_t, std::optional<CpuId>>{0, CpuId{1}},
                                     {1, CpuId{1}},
                                     {2, std::nullopt},
                                     {3, CpuId{5}}}) {
    Frame frame = frame_of(kEthHeaderBytes);
    frame.meta.queue_mapping = mapping;
    EXPECT_EQ(choose(frame), cpu) << mapping;
    EXPECT_EQ(frame.meta.hash != 0, cpu.has_value()) << "a queue without a map needs no hash";
  }
}

// veth_xmit() of 5.4: skb_record_rx_queue(), while the receiver has a program.
TEST(RxQueue, IsTheSendersWhereItIsRecordedAndElseOneLess) {
  for (const Rules* const rules : kAllRules) {
    Device peer;
    EXPECT_EQ(rx_queue_of(*rules, peer, 0), 0U) << rules->kernel;
    EXPECT_EQ(rx_queue_of(*rules, peer, 3), 2U) << rules->kernel;
    peer.has_xdp = true;
    EXPECT_EQ(rx_queue_of(*rules, peer, 0), 0U) << rules->kernel;
    EXPECT_EQ(rx_queue_of(*rules, peer, 3), rules == &kRules54 ? 3U : 2U) << rules->kernel;
  }
}

}  // namespace
}  // namespace vethd

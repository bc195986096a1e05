// Generic receive offload rule by rule: what joins what, what it becomes, and what goes first.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/gro.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Check;
using test::Packet;
using test::Spec;
using Result = Gro::Result;

constexpr GroFeatures kAll{.udp_forwarding = true};

/// One NAPI with its table.
class Napi : public test::Frames {
 public:
  explicit Napi(const GroRules& rules = kGro618) : gro(arena(), rules) {}

  Result receive(const Packet& packet, std::int64_t jiffy = 1) {
    return gro.receive(put(packet), features, jiffy, out);
  }
  Result receive(const Spec& spec) { return receive(test::build(spec)); }

  /// What has been handed out since the last call.
  std::vector<Packet> taken() {
    std::vector<Packet> packets;
    while (Frame* frame = out.pop()) {
      packets.push_back(look(*frame));
      pool().release(*frame);
    }
    return packets;
  }
  std::vector<Packet> flushed() {
    gro.flush(out);
    return taken();
  }

  Gro gro;
  FrameList out{Holder::transmit};
  GroFeatures features = kAll;
};

Packet with_hash(Packet packet, std::uint32_t hash) {
  packet.meta.hash = hash;
  return packet;
}

/// A segment or datagram of another flow.
Spec flow(std::uint16_t number, Spec spec = {}) {
  spec.source_port = static_cast<std::uint16_t>(2000 + number);
  return spec;
}

// --- who joins --------------------------------------------------------------------------------

/// A frame and the one that follows it by all rules, then changed.
struct JoinCase {
  std::string what;
  std::function<void(Spec& held, Spec& next)> change;
  bool joins = false;  // by 6.18
  bool joins_612 = joins;
  bool joins_54 = joins_612;
};

void expect_join(const JoinCase& test_case, const Spec& base, const GroRules& rules, bool joins) {
  Spec held = base;
  Spec next = test::following(base);
  test_case.change(held, next);
  Napi napi(rules);
  const Packet first = test::build(held);
  const Packet second = test::build(next);
  ASSERT_EQ(napi.receive(first), Result::held) << test_case.what;
  const Result result = napi.receive(second);
  EXPECT_EQ(result == Result::merged, joins) << test_case.what;
  const auto out = napi.flushed();
  if (joins) {
    EXPECT_EQ(out.size(), 1U) << test_case.what;
    return;
  }
  ASSERT_EQ(out.size(), 2U) << test_case.what;
  test::expect_same(out[0], first, test_case.what + ", first");
  test::expect_same(out[1], second, test_case.what + ", second");
}

void expect_joins(const std::vector<JoinCase>& cases, const Spec& base) {
  for (const JoinCase& test_case : cases) {
    expect_join(test_case, base, kGro618, test_case.joins);
    expect_join(test_case, base, kGro61, test_case.joins_612);
    expect_join(test_case, base, kGro54, test_case.joins_54);
  }
}

std::vector<JoinCase> link_layer_cases() {
  return {
      {"nothing else", [](Spec&, Spec&) {}, true},
      {"other MAC address", [](Spec&, Spec& n) { n.source_mac = 9; }},
      {"other IP address", [](Spec&, Spec& n) { n.source = 9; }},
      {"other port", [](Spec&, Spec& n) { n.source_port = 9; }},
      {"a VLAN tag", [](Spec&, Spec& n) { n.tags = 1; }},
      {"the same VLAN tags", [](Spec& p, Spec& n) { p.tags = n.tags = 2; }, true},
      {"checksum unfinished", [](Spec& p, Spec& n) { p.check = n.check = Check::unfinished; },
       true},
      {"checksum unfinished in one", [](Spec&, Spec& n) { n.check = Check::unfinished; }, true},
      {"padding behind it", [](Spec&, Spec& n) { n.padding = 1; }},
      {"longer than the first", [](Spec&, Spec& n) { ++n.payload; }},
      {"shorter than the first", [](Spec&, Spec& n) { --n.payload; }, true},
      {"one byte", [](Spec&, Spec& n) { n.payload = 1; }, true},
  };
}

std::vector<JoinCase> ipv4_cases(bool tcp) {
  const bool udp_54 = !tcp;
  return {
      {"other TOS", [](Spec&, Spec& n) { n.tos = 4; }, false, false, udp_54},
      {"other ECN", [](Spec&, Spec& n) { n.tos = 3; }, false, false, udp_54},
      {"other TTL", [](Spec&, Spec& n) { n.ttl = 63; }, false, false, udp_54},
      {"no DF", [](Spec&, Spec& n) { n.fragment = 0; }, false, false, udp_54},
      {"no DF in both", [](Spec& p, Spec& n) { p.fragment = n.fragment = 0; }, true},
      {"reserved bit", [](Spec& p, Spec& n) { n.fragment = p.fragment | 0x8000; }},
      {"id two ahead", [](Spec&, Spec& n) { ++n.id; }, false, false, udp_54},
      {"id behind", [](Spec&, Spec& n) { n.id = static_cast<std::uint16_t>(n.id - 2); }, false,
       false, udp_54},
      {"id wraps", [](Spec& p, Spec& n) { p.id = 65535, n.id = 0; }, true},
      {"same id with DF", [](Spec& p, Spec& n) { n.id = p.id; }, true},
      {"same id without DF", [](Spec& p, Spec& n) { n.id = p.id, p.fragment = n.fragment = 0; },
       true, false, udp_54},
  };
}

std::vector<JoinCase> ipv6_cases(bool tcp) {
  const bool udp_54 = !tcp;
  return {
      {"other traffic class", [](Spec&, Spec& n) { n.tos = 4; }, false, false, udp_54},
      {"other ECN", [](Spec&, Spec& n) { n.tos = 3; }, false, false, udp_54},
      {"other hop limit", [](Spec&, Spec& n) { n.ttl = 63; }, false, false, udp_54},
      {"other flow label", [](Spec&, Spec& n) { n.flow_label = 5; }},
      {"same flow label", [](Spec& p, Spec& n) { p.flow_label = n.flow_label = 5; }, true},
      {"extension header in one",
       [tcp](Spec&, Spec& n) { n.network_options = test::extension_header(tcp ? 6 : 17); }},
      {"same extension header",
       [tcp](Spec& p, Spec& n) {
         p.network_options = n.network_options = test::extension_header(tcp ? 6 : 17);
       },
       true},
      {"other extension header",
       [tcp](Spec& p, Spec& n) {
         p.network_options = n.network_options = test::extension_header(tcp ? 6 : 17);
         n.network_options.back() = std::byte{1};
       }},
  };
}

std::vector<JoinCase> tcp_cases() {
  const Bytes stamp = test::Writer().u32(0x0101080a).u32(1).u32(2).from(0);
  const Bytes later = test::Writer().u32(0x0101080a).u32(1).u32(3).from(0);
  return {
      {"gap in seq", [](Spec&, Spec& n) { ++n.seq; }},
      {"seq again", [](Spec& p, Spec& n) { n.seq = p.seq; }},
      {"seq wraps", [](Spec& p, Spec& n) { p.seq = 0xffffffff, n.seq = p.seq + p.payload; }, true},
      {"other ack_seq", [](Spec&, Spec& n) { ++n.ack; }},
      {"other window", [](Spec&, Spec& n) { ++n.window; }},
      {"reserved bit", [](Spec&, Spec& n) { n.reserved = 2; }},
      {"FIN", [](Spec&, Spec& n) { n.flags |= test::kFin; }, true},
      {"PSH", [](Spec&, Spec& n) { n.flags |= test::kPsh; }, true},
      {"SYN", [](Spec&, Spec& n) { n.flags |= test::kSyn; }},
      {"RST", [](Spec&, Spec& n) { n.flags |= test::kRst; }},
      {"URG", [](Spec&, Spec& n) { n.flags |= test::kUrg; }},
      {"no ACK", [](Spec&, Spec& n) { n.flags = 0; }},
      {"CWR", [](Spec&, Spec& n) { n.flags |= test::kCwr; }},
      {"CWR in both", [](Spec& p, Spec& n) { p.flags = n.flags |= test::kCwr; }},
      {"CWR in the first", [](Spec& p, Spec&) { p.flags |= test::kCwr; }, false, true},
      {"no payload", [](Spec&, Spec& n) { n.payload = 0; }},
      {"same timestamps", [=](Spec& p, Spec& n) { p.tcp_options = n.tcp_options = stamp; }, true},
      {"later timestamp", [=](Spec& p, Spec& n) { p.tcp_options = stamp, n.tcp_options = later; }},
      {"options in one", [=](Spec&, Spec& n) { n.tcp_options = stamp; }},
  };
}

TEST(GroJoin, TcpOverIpv4FollowsTheRulesOfEachVersion) {
  expect_joins(link_layer_cases(), {});
  expect_joins(ipv4_cases(true), {});
  expect_joins(tcp_cases(), {});
}

TEST(GroJoin, TcpOverIpv6FollowsTheRulesOfEachVersion) {
  expect_joins(link_layer_cases(), {.ipv6 = true});
  expect_joins(ipv6_cases(true), {.ipv6 = true});
  expect_joins(tcp_cases(), {.ipv6 = true});
}

TEST(GroJoin, UdpFollowsTheRulesOfEachVersion) {
  auto link_layer = link_layer_cases();
  // The length field covers exactly what is there, or the frame passes what is held of its flow.
  std::erase_if(link_layer, [](const JoinCase& c) { return c.what == "padding behind it"; });
  expect_joins(link_layer, {.tcp = false});
  expect_joins(ipv4_cases(false), {.tcp = false});
  expect_joins(link_layer, {.ipv6 = true, .tcp = false});
  expect_joins(ipv6_cases(false), {.ipv6 = true, .tcp = false});
}

TEST(GroJoin, WhetherIdsStepOrStandIsDecidedByTheSecondFrame) {
  struct Case {
    std::uint16_t ids[3];
    bool third_joins;
  };
  for (const Case& test_case :
       {Case{{10, 11, 12}, true}, Case{{10, 10, 10}, true}, Case{{10, 11, 11}, false},
        Case{{10, 11, 10}, false}, Case{{10, 10, 11}, false}, Case{{10, 10, 12}, false}}) {
    Napi napi;
    Spec spec;
    for (int i = 0; i < 3; ++i) {
      spec.id = test_case.ids[i];
      const Result result = napi.receive(spec);
      if (i == 2) {
        EXPECT_EQ(result == Result::merged, test_case.third_joins)
            << test_case.ids[1] << " " << test_case.ids[2];
      }
      spec = test::following(spec);
    }
  }
}

TEST(GroJoin, WhatIpv6SaysOfTheNextHeaderIsPartOfTheFlow) {
  // Hop-by-hop options and destination options of the same bytes.
  const Spec spec{.ipv6 = true, .network_options = test::extension_header(6)};
  Packet next = test::build(test::following(spec));
  next.bytes[20] = std::byte{kIpv6HopByHop};
  Napi napi;
  napi.receive(spec);
  EXPECT_EQ(napi.receive(next), Result::held);
  EXPECT_EQ(napi.flushed().size(), 2U);
}

TEST(GroJoin, FramesOfDifferentHashAreDifferentFlowsEvenInOneBucket) {
  Napi napi;
  const Spec spec;
  EXPECT_EQ(napi.receive(with_hash(test::build(spec), 1)), Result::held);
  EXPECT_EQ(napi.receive(with_hash(test::build(test::following(spec)), 9)), Result::held);
  EXPECT_EQ(napi.flushed().size(), 2U);
}

// --- what it becomes --------------------------------------------------------------------------

/// Three segments of 100 bytes and what a sender with segmentation offload would have handed over.
void expect_merged(Spec spec, std::uint8_t gso_type) {
  Spec whole = spec;
  whole.payload = 300;
  whole.check = Check::unfinished;
  Packet should = test::build(whole);
  should.meta.gso_type = gso_type;
  should.meta.gso_size = 100;
  should.meta.hdr_len = static_cast<std::uint16_t>(should.bytes.size() - 300);

  Napi napi;
  for (int i = 0; i < 3; ++i, spec = test::following(spec)) napi.receive(spec);
  const auto out = napi.flushed();
  ASSERT_EQ(out.size(), 1U);
  test::expect_same(out[0], should, "merged");
}

TEST(GroComplete, MakesTheSuperFrameASenderWouldHaveMade) {
  for (const unsigned tags : {0U, 1U, 2U})
    for (const Check check : {Check::finished, Check::unfinished}) {
      expect_merged({.tags = tags, .check = check}, kGsoTcpv4);
      expect_merged({.ipv6 = true, .tags = tags, .check = check}, kGsoTcpv6);
      expect_merged({.tcp = false, .tags = tags, .check = check}, kGsoUdpL4);
      expect_merged({.ipv6 = true, .tcp = false, .tags = tags, .check = check}, kGsoUdpL4);
    }
  expect_merged({.tcp_options = Bytes(12, std::byte{1})}, kGsoTcpv4);
  expect_merged({.ipv6 = true, .network_options = test::extension_header(6)}, kGsoTcpv6);
}

TEST(GroComplete, GathersFinAndPshAndSaysThatCwrWasSeen) {
  Napi napi(kGro61);
  Spec spec{.flags = test::kAck | test::kCwr};
  napi.receive(spec);
  spec = test::following(spec);
  spec.flags = test::kAck | test::kPsh | test::kFin;
  napi.receive(spec);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes[47], std::byte{test::kAck | test::kCwr | test::kPsh | test::kFin});
  EXPECT_EQ(out[0].meta.gso_type, kGsoTcpv4 | kGsoEcn);
}

TEST(GroComplete, LeavesAGroupOfOneByteForByteWithItsMeta) {
  for (const bool tcp : {true, false})
    for (const Check check : {Check::finished, Check::unfinished}) {
      Packet packet = test::build({.tcp = tcp, .check = check});
      packet.meta.mark = 7;
      if (check == Check::finished) packet.meta.ip_summed = IpSummed::unnecessary;
      Napi napi;
      EXPECT_EQ(napi.receive(packet), Result::held);
      const auto out = napi.flushed();
      ASSERT_EQ(out.size(), 1U);
      test::expect_same(out[0], packet, "alone");
      EXPECT_EQ(out[0].meta.mark, 7U);
    }
}

TEST(GroComplete, KeepsWhatTheFirstFrameCarriesBesideItsBytes) {
  Napi napi;
  Packet first = test::build({});
  Packet second = test::build(test::following({}));
  first.meta.mark = 7;
  second.meta.mark = 8;
  napi.receive(first);
  EXPECT_EQ(napi.receive(second), Result::merged) << "the mark makes no difference";
  EXPECT_EQ(napi.flushed()[0].meta.mark, 7U);
}

// --- when it is complete ----------------------------------------------------------------------

TEST(GroTcp, AShortSegmentOrALastFlagCompletesTheGroupAtOnce) {
  struct Case {
    std::uint32_t payload;
    std::uint8_t flags;
  };
  for (const Case& test_case : {Case{99, test::kAck}, Case{100, test::kAck | test::kPsh},
                                Case{100, test::kAck | test::kFin}}) {
    Napi napi;
    napi.receive(Spec{});
    Spec next = test::following({});
    next.payload = test_case.payload;
    next.flags = test_case.flags;
    EXPECT_EQ(napi.receive(next), Result::merged);
    EXPECT_EQ(napi.taken().size(), 1U);
    EXPECT_TRUE(napi.gro.empty());
  }
}

TEST(GroTcp, WhatNothingCanFollowIsNotHeld) {
  const Spec specs[] = {{.payload = 0},
                        {.flags = test::kAck | test::kPsh},
                        {.flags = test::kAck | test::kFin},
                        {.flags = test::kSyn},
                        {.flags = test::kRst},
                        {.flags = test::kAck | test::kUrg}};
  for (const Spec& spec : specs) {
    Napi napi;
    const Packet packet = test::build(spec);
    EXPECT_EQ(napi.receive(packet), Result::passed);
    const auto out = napi.taken();
    ASSERT_EQ(out.size(), 1U);
    test::expect_same(out[0], packet, "passed");
  }
}

TEST(GroTcp, APureAckSendsWhatIsHeldOfItsFlowAheadOfItself) {
  Napi napi;
  napi.receive(Spec{});
  napi.receive(flow(1));
  Spec ack = test::following({});
  ack.payload = 0;
  EXPECT_EQ(napi.receive(ack), Result::passed);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].bytes, test::build({}).bytes);
  EXPECT_EQ(out[1].bytes, test::build(ack).bytes);
  EXPECT_EQ(napi.flushed().size(), 1U) << "the other flow is still held";
}

TEST(GroTcp, AnL3PacketNeverExceeds65535Bytes) {
  // 52 bytes of headers: 32 segments of 2046 bytes and one of 11 are 65535.
  for (const std::uint32_t last : {11U, 12U}) {
    Napi napi;
    Spec spec{.tcp_options = Bytes(12, std::byte{1}), .payload = 2046};
    for (int i = 0; i < 32; ++i, spec = test::following(spec)) napi.receive(spec);
    spec.payload = last;
    EXPECT_EQ(napi.receive(spec), last == 11 ? Result::merged : Result::held);
    EXPECT_EQ(napi.taken()[0].bytes.size(), last == 11 ? 14U + 65535U : 14U + 65524U);
  }
}

TEST(GroTcp, AChainHoldsWhatOneWriteCanGatherAndTheNextFrameStartsAnew) {
  Napi napi;
  Spec spec;
  for (int i = 0; i <= kMaxFragments; ++i, spec = test::following(spec)) napi.receive(spec);
  EXPECT_TRUE(napi.taken().empty());
  EXPECT_EQ(napi.receive(spec), Result::held);
  EXPECT_EQ(napi.taken().size(), 1U);
}

TEST(GroTcp, OnlyFramesOfOneHomeMakeAChain) {
  Napi napi;
  napi.receive(Spec{});
  Frame& stranger = napi.put(test::build(test::following({})));
  stranger.home = 1;
  EXPECT_EQ(napi.gro.receive(stranger, kAll, 1, napi.out), Result::held);
  EXPECT_EQ(napi.taken().size(), 1U);
}

TEST(GroUdp, IsLeftAloneUnlessTheDeviceForwardsIt) {
  Napi napi;
  napi.features.udp_forwarding = false;
  EXPECT_EQ(napi.receive(Spec{.tcp = false}), Result::passed);
  napi.features.udp_forwarding = true;
  EXPECT_EQ(napi.receive(Spec{.tcp = false}), Result::held);
}

TEST(GroUdp, OnlyTheLastDatagramMayBeShort) {
  Napi napi;
  Spec spec{.tcp = false};
  napi.receive(spec);
  spec = test::following(spec);
  spec.payload = 1;
  EXPECT_EQ(napi.receive(spec), Result::merged);
  EXPECT_EQ(napi.taken().size(), 1U);
  EXPECT_EQ(napi.receive(test::following(spec)), Result::held);
}

TEST(GroUdp, ALongerDatagramCompletesTheGroupAndStartsAnother) {
  Napi napi;
  Spec spec{.tcp = false};
  napi.receive(spec);
  spec = test::following(spec);
  spec.payload = 101;
  EXPECT_EQ(napi.receive(spec), Result::held);
  EXPECT_EQ(napi.taken()[0].bytes, test::build({.tcp = false}).bytes);
}

TEST(GroUdp, IsCompleteAt64Datagrams) {
  Napi napi;
  Spec spec{.tcp = false};
  for (int i = 0; i < 63; ++i, spec = test::following(spec)) napi.receive(spec);
  EXPECT_TRUE(napi.taken().empty());
  EXPECT_EQ(napi.receive(spec), Result::merged);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes.size(), 42U + 6400U);
}

// --- what passes ------------------------------------------------------------------------------

/// Held first, so that it shows whether the frame sends its flow ahead.
void expect_passes(const Packet& packet, const Spec& held, bool sends_ahead, const char* what) {
  Napi napi;
  ASSERT_EQ(napi.receive(held), Result::held);
  EXPECT_EQ(napi.receive(packet), Result::passed) << what;
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), sends_ahead ? 2U : 1U) << what;
  test::expect_same(out.back(), packet, what);
  EXPECT_EQ(napi.gro.empty(), sends_ahead) << what;
}

TEST(GroPass, WhatIsNoPartOfAFlowOvertakesWhatIsHeldOfIt) {
  const Spec tcp;
  const Spec udp{.tcp = false};
  const auto changed = [](Spec spec, auto change) {
    spec = test::following(spec);
    change(spec);
    return test::build(spec);
  };
  const auto damaged = [&](const Spec& spec, std::size_t at) {
    Packet packet = test::build(test::following(spec));
    packet.bytes[at] ^= std::byte{1};
    return packet;
  };
  expect_passes(changed(tcp, [](Spec& s) { s.network_options = Bytes(4); }), tcp, false, "options");
  expect_passes(changed(tcp, [](Spec& s) { s.fragment = 0x2000; }), tcp, false, "fragment");
  expect_passes(damaged(tcp, 24), tcp, false, "header checksum");
  expect_passes(damaged(tcp, 100), tcp, false, "TCP checksum");
  expect_passes(damaged(udp, 100), udp, false, "UDP checksum");
  expect_passes(changed(udp, [](Spec& s) { s.check = Check::zero; }), udp, false, "no checksum");
  expect_passes(changed(udp, [](Spec& s) { s.padding = 4; }), udp, false, "UDP length");
  expect_passes(changed(udp, [](Spec& s) { s.payload = 0; }), udp, false, "empty datagram");
}

TEST(GroPass, WhatMayNotMergeSendsItsFlowAheadOfItself) {
  const Spec spec;
  Packet padded = test::build(test::following(spec));
  padded.bytes.resize(padded.bytes.size() + 1);
  expect_passes(padded, spec, true, "padding");

  Packet super = test::build({.seq = 5100, .payload = 1000, .check = Check::unfinished});
  super.meta.gso_type = kGsoTcpv4;
  super.meta.gso_size = 100;
  expect_passes(super, spec, true, "super-frame");

  const Spec udp{.tcp = false};
  super = test::build({.tcp = false, .payload = 1000, .check = Check::unfinished});
  super.meta.gso_type = kGsoUdpL4;
  super.meta.gso_size = 100;
  expect_passes(super, udp, true, "UDP super-frame");

  Packet tunnel = test::build(test::following(spec));
  tunnel.meta.ip_summed = IpSummed::partial;
  tunnel.meta.csum_start = 74;
  tunnel.meta.csum_offset = 16;
  expect_passes(tunnel, spec, true, "checksum of an inner header");
}

TEST(GroPass, AVerifiedChecksumIsVerifiedAgain) {
  Packet packet = test::build({});
  packet.bytes[60] ^= std::byte{0x10};
  packet.meta.ip_summed = IpSummed::unnecessary;
  Napi napi;
  EXPECT_EQ(napi.receive(packet), Result::passed);
}

TEST(GroPass, OtherProtocolsGoStraightThrough) {
  Packet arp = test::build({});
  arp.bytes[13] = std::byte{6};
  Napi napi;
  EXPECT_EQ(napi.receive(arp), Result::passed);
  EXPECT_EQ(napi.taken().size(), 1U);
}

// --- the table --------------------------------------------------------------------------------

TEST(GroTable, HoldsEightFlowsOfABucketAndFlushesTheOldestForTheNinth) {
  Napi napi;
  for (std::uint16_t i = 0; i < 8; ++i) napi.receive(flow(i));
  EXPECT_TRUE(napi.taken().empty());
  EXPECT_EQ(napi.receive(flow(8)), Result::held);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, test::build(flow(0)).bytes);
  EXPECT_EQ(napi.flushed().size(), 8U);
}

TEST(GroTable, AFlowReplacedByItsOwnNextFrameFlushesNoOther) {
  Napi napi;
  for (std::uint16_t i = 0; i < 8; ++i) napi.receive(flow(i));
  Spec gap = flow(3);
  gap.seq += 1000;
  EXPECT_EQ(napi.receive(gap), Result::held);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out[0].bytes, test::build(flow(3)).bytes);
}

TEST(GroTable, UsesTheBucketOfTheHashTheFrameBrings) {
  Napi napi;
  for (std::uint16_t i = 0; i < 64; ++i) napi.receive(with_hash(test::build(flow(i)), i));
  EXPECT_TRUE(napi.taken().empty());
  napi.receive(with_hash(test::build(flow(64)), 8 + 5));
  EXPECT_EQ(napi.taken()[0].bytes, test::build(flow(5)).bytes);
}

TEST(GroTable, FlushesBucketByBucketOldestFirst) {
  Napi napi;
  const std::uint32_t hashes[] = {7, 2, 7, 0, 2};
  for (std::uint16_t i = 0; i < 5; ++i) napi.receive(with_hash(test::build(flow(i)), hashes[i]));
  const auto out = napi.flushed();
  const std::uint16_t order[] = {3, 1, 4, 0, 2};
  ASSERT_EQ(out.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i)
    EXPECT_EQ(out[i].bytes, test::build(flow(order[i])).bytes) << i;
  EXPECT_TRUE(napi.gro.empty());
}

TEST(GroTable, FlushOldTakesWhatBeganInAnEarlierJiffy) {
  Napi napi;
  napi.receive(test::build(flow(0)), 1);
  napi.receive(test::build(flow(1)), 1);
  napi.receive(test::build(flow(2)), 2);
  napi.receive(test::build(test::following(flow(1))), 2);  // younger, in a group that is not
  napi.gro.flush_old(2, napi.out);
  const auto out = napi.taken();
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].bytes, test::build(flow(0)).bytes);
  EXPECT_EQ(out[1].meta.gso_size, 100);
  napi.gro.flush_old(3, napi.out);
  EXPECT_EQ(napi.taken().size(), 1U);
}

TEST(GroTable, ShowsWhatItHoldsAndGivesOutWhatIsToBeRemoved) {
  Napi napi;
  napi.receive(flow(0));
  napi.receive(test::following(flow(0)));
  napi.receive(flow(1));
  std::size_t held = 0;
  napi.gro.for_each([&](const Frame& frame) {
    EXPECT_EQ(frame.holder, Holder::gro_hold);
    held += 1U + frame.frags;
  });
  EXPECT_EQ(held, 3U);
  const std::size_t free = napi.pool().free_frames();
  napi.gro.take_if([](const Frame& frame) { return frame.frags > 0; },
                   [&](Frame& frame) { napi.pool().release(frame); });
  EXPECT_EQ(napi.pool().free_frames(), free + 2);
  EXPECT_EQ(napi.receive(test::following(flow(1))), Result::merged) << "the rest is still there";
  EXPECT_EQ(napi.flushed().size(), 1U);
}

}  // namespace
}  // namespace vethd

// Which flow a frame belongs to, and that no length makes the dissector read past the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <vector>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/siphash.hpp"

namespace vethd {
namespace {

using Bytes = std::vector<std::byte>;

/// Puts a frame together in network order.
class Packet {
 public:
  Packet& u8(std::initializer_list<unsigned> values) {
    for (const unsigned value : values) bytes_.push_back(static_cast<std::byte>(value));
    return *this;
  }
  Packet& u16(std::uint16_t value) {
    const unsigned wide = value;
    return u8({wide >> 8, wide & 0xff});
  }
  Packet& zero(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Packet& ethernet(std::uint16_t type) { return zero(12).u16(type); }
  Packet& vlan(std::uint16_t tci, std::uint16_t type) { return u16(tci).u16(type); }
  /// 10.0.0.source to 10.0.0.destination; words: header length; fragment: flags and offset.
  Packet& ipv4(unsigned protocol, unsigned source, unsigned destination, unsigned words = 5,
               std::uint16_t fragment = 0) {
    u8({0x40 | words, 0}).zero(4).u16(fragment).u8({64, protocol, 0, 0});
    u8({10, 0, 0, source, 10, 0, 0, destination});
    return zero((words - 5) * 4);
  }
  Packet& ipv6(unsigned next_header, unsigned source, unsigned destination, unsigned label = 0) {
    u8({0x60, label >> 16 & 0xf, label >> 8 & 0xff, label & 0xff}).zero(2).u8({next_header, 64});
    return u8({0xfd}).zero(14).u8({source}).u8({0xfd}).zero(14).u8({destination});
  }
  Packet& ports(std::uint16_t source, std::uint16_t destination) {
    return u16(source).u16(destination);
  }

  /// Dissected out of a block of exactly its size: a sanitizer sees each byte read too many.
  [[nodiscard]] FlowKeys keys(FlowLabel label = FlowLabel::stops) const {
    return keys_of_first(bytes_.size(), label);
  }
  [[nodiscard]] FlowKeys keys_of_first(std::size_t len, FlowLabel label) const {
    const auto exact = std::make_unique<std::byte[]>(len);
    std::copy_n(bytes_.begin(), len, exact.get());
    return dissect_flow(exact.get(), static_cast<std::uint32_t>(len), label, kRules618);
  }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  Bytes bytes_;
};

constexpr HashKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};
constexpr unsigned kTcp = 6;
constexpr unsigned kUdp = 17;
constexpr unsigned kIcmp = 1;

Packet tcp4(unsigned source, unsigned destination, std::uint16_t from, std::uint16_t to) {
  return Packet().ethernet(0x0800).ipv4(kTcp, source, destination).ports(from, to);
}

// --- SipHash ----------------------------------------------------------------------------------

TEST(SipHash, MeetsTheReferenceVectorsOfWholeWords) {
  // Aumasson and Bernstein, vectors_sip64: key 00 01 … 0f, message 00 01 … (n - 1).
  SipHash empty(kKey.k0, kKey.k1);
  EXPECT_EQ(empty.finish(), 0x726fdb47dd0e0e31U);
  SipHash one(kKey.k0, kKey.k1);
  one.word(0x0706050403020100);
  EXPECT_EQ(one.finish(), 0x93f5f5799a932462U);
  SipHash two(kKey.k0, kKey.k1);
  two.word(0x0706050403020100);
  two.word(0x0f0e0d0c0b0a0908);
  EXPECT_EQ(two.finish(), 0x3f2acc7f57c29bdbU);
}

// --- dissect_flow() ---------------------------------------------------------------------------

TEST(FlowDissect, FindsAddressesAndPortsOfIpv4) {
  const FlowKeys keys = tcp4(1, 2, 1000, 2000).keys();
  EXPECT_EQ(keys.n_proto, 0x0800);
  EXPECT_EQ(keys.ip_proto, kTcp);
  EXPECT_EQ(keys.src[3], std::byte{1});
  EXPECT_EQ(keys.dst[3], std::byte{2});
  EXPECT_EQ(keys.src_port, 1000);
  EXPECT_EQ(keys.dst_port, 2000);
  EXPECT_TRUE(keys.has_l4);
}

TEST(FlowDissect, SkipsIpv4Options) {
  const FlowKeys keys = Packet().ethernet(0x0800).ipv4(kUdp, 1, 2, 15).ports(1000, 2000).keys();
  EXPECT_EQ(keys.src_port, 1000);
}

TEST(FlowDissect, FindsNoPortsInAnyFragmentNotEvenTheFirst) {
  for (const std::uint16_t fragment :
       {std::uint16_t{0x2000}, std::uint16_t{0x2010}, std::uint16_t{0x0010}}) {
    const FlowKeys keys =
        Packet().ethernet(0x0800).ipv4(kUdp, 1, 2, 5, fragment).ports(1000, 2000).keys();
    EXPECT_EQ(keys.src_port, 0) << fragment;
    EXPECT_FALSE(keys.has_l4);
    EXPECT_EQ(keys.src[3], std::byte{1});
  }
  const FlowKeys v6 =
      Packet().ethernet(0x86dd).ipv6(44, 1, 2).u8({kUdp, 0, 0, 1}).zero(4).ports(1, 2).keys();
  EXPECT_EQ(v6.src_port, 0);
  EXPECT_EQ(v6.ip_proto, kUdp);
}

TEST(FlowDissect, DontFragmentIsNoFragment) {
  EXPECT_EQ(Packet().ethernet(0x0800).ipv4(kUdp, 1, 2, 5, 0x4000).ports(1000, 2000).keys().src_port,
            1000);
}

TEST(FlowDissect, FindsNoPortsInIcmp) {
  const FlowKeys keys = Packet().ethernet(0x0800).ipv4(kIcmp, 1, 2).ports(8, 77).keys();
  EXPECT_EQ(keys.src_port, 0);
  EXPECT_EQ(keys.ip_proto, kIcmp);
}

TEST(FlowDissect, WalksIpv6ExtensionHeaders) {
  const FlowKeys keys = Packet()
                            .ethernet(0x86dd)
                            .ipv6(0, 1, 2)
                            .u8({43, 0})
                            .zero(6)
                            .u8({60, 1})
                            .zero(14)
                            .u8({kTcp, 0})
                            .zero(6)
                            .ports(1000, 2000)
                            .keys();
  EXPECT_EQ(keys.ip_proto, kTcp);
  EXPECT_EQ(keys.src_port, 1000);
  EXPECT_EQ(keys.src[15], std::byte{1});
}

TEST(FlowDissect, StopsAtAnIpv6FlowLabelUnlessItIsIgnored) {
  const Packet packet = Packet().ethernet(0x86dd).ipv6(kTcp, 1, 2, 0x12345).ports(1000, 2000);
  EXPECT_EQ(packet.keys().flow_label, 0x12345U);
  EXPECT_EQ(packet.keys().src_port, 0);
  EXPECT_TRUE(packet.keys().has_l4);
  EXPECT_EQ(packet.keys(FlowLabel::ignored).flow_label, 0U);
  EXPECT_EQ(packet.keys(FlowLabel::ignored).src_port, 1000);
}

TEST(FlowDissect, ReadsTheOutermostTagAndLooksBehindBoth) {
  const FlowKeys keys = Packet()
                            .ethernet(0x88a8)
                            .vlan(100, 0x8100)
                            .vlan(200, 0x0800)
                            .ipv4(kUdp, 1, 2)
                            .ports(1000, 2000)
                            .keys();
  EXPECT_EQ(keys.vlan_tci, 100);
  EXPECT_EQ(keys.n_proto, 0x0800);
  EXPECT_EQ(keys.src_port, 1000);
}

TEST(FlowDissect, GivesUpOnEndlessHeaders) {
  Packet tags;
  tags.ethernet(0x8100);
  for (int i = 0; i < 64; ++i) tags.vlan(1, 0x8100);
  EXPECT_EQ(tags.keys().src_port, 0);
  Packet options;
  options.ethernet(0x86dd).ipv6(60, 1, 2);
  for (int i = 0; i < 64; ++i) options.u8({60, 0}).zero(6);
  EXPECT_EQ(options.keys().src_port, 0);
}

TEST(FlowDissect, NeverReadsPastTheEndWhateverTheLength) {
  const Packet packets[] = {
      Packet().ethernet(0x8100).vlan(1, 0x0800).ipv4(kTcp, 1, 2, 15).ports(1, 2),
      Packet().ethernet(0x86dd).ipv6(0, 1, 2).u8({43, 2}).zero(22).u8({kTcp, 0}).zero(6).ports(1,
                                                                                               2),
      Packet().ethernet(0x86dd).ipv6(44, 1, 2).u8({kUdp}).zero(7),
      Packet().ethernet(0x86dd).ipv6(60, 1, 2).u8({kTcp, 255}).zero(6),
      Packet().ethernet(0x0800).ipv4(51, 1, 2).zero(8),
  };
  for (const Packet& packet : packets)
    for (std::size_t len = 0; len <= packet.size(); ++len)
      for (const FlowLabel label : {FlowLabel::stops, FlowLabel::ignored}) {
        const FlowKeys keys = packet.keys_of_first(len, label);
        if (len < 38) {
          EXPECT_EQ(keys.src_port, 0);
        }
      }
}

// --- hash_flow() ------------------------------------------------------------------------------

TEST(FlowHash, IsTheSameInBothDirections) {
  for (std::uint16_t port = 1; port < 50; ++port)
    EXPECT_EQ(hash_flow(tcp4(1, 2, port, 80).keys(), kKey),
              hash_flow(tcp4(2, 1, 80, port).keys(), kKey));
}

TEST(FlowHash, OrdersAddressesAndPortsIndependentlyAs6Does) {
  EXPECT_EQ(hash_flow(tcp4(1, 2, 10, 20).keys(), kKey), hash_flow(tcp4(1, 2, 20, 10).keys(), kKey));
}

TEST(FlowHash, DiffersWithEachFieldOfTheFlow) {
  const FlowKeys flow = tcp4(1, 2, 10, 20).keys();
  EXPECT_NE(hash_flow(flow, kKey), hash_flow(tcp4(1, 3, 10, 20).keys(), kKey));
  EXPECT_NE(hash_flow(flow, kKey), hash_flow(tcp4(1, 2, 11, 20).keys(), kKey));
  EXPECT_NE(hash_flow(flow, kKey), hash_flow(flow, HashKey{1, 2}));
  FlowKeys tagged = flow;
  tagged.vlan_tci = 5;
  EXPECT_NE(hash_flow(flow, kKey), hash_flow(tagged, kKey));
}

TEST(FlowHash, SpreadsFlowsEvenlyOverAnyNumberOfCpus) {
  constexpr std::uint32_t kFlows = 20'000;
  for (const std::uint32_t cpus : {2U, 3U, 7U}) {
    std::vector<std::uint32_t> share(cpus);
    for (std::uint32_t i = 0; i < kFlows; ++i) {
      const auto keys = tcp4(1, 2 + (i >> 14), static_cast<std::uint16_t>(1000 + (i & 0x3fff)), 80);
      ++share[reciprocal_scale(hash_flow(keys.keys(), kKey), cpus)];
    }
    for (const std::uint32_t count : share) EXPECT_NEAR(count, kFlows / cpus, kFlows / cpus * 0.06);
  }
}

TEST(ReciprocalScale, CoversExactlyTheChoices) {
  EXPECT_EQ(reciprocal_scale(0, 3), 0U);
  EXPECT_EQ(reciprocal_scale(0xffffffff, 3), 2U);
  EXPECT_EQ(reciprocal_scale(0xffffffff, 1), 0U);
  EXPECT_EQ(reciprocal_scale(0x80000000, 2), 1U);
  EXPECT_EQ(reciprocal_scale(0x7fffffff, 2), 0U);
}

TEST(TakenForSockWfree, AllButTcpAndWhatTheStackSendsWithoutASocket) {
  const auto taken = [](std::uint16_t ethertype, std::uint8_t ip_proto, bool ipv6 = false) {
    std::array<std::byte, kEthHeaderBytes + 48> bytes{};
    store_be16(bytes.data() + 12, ethertype);
    std::byte* const ip = bytes.data() + kEthHeaderBytes;
    store8(ip, ipv6 ? 0x60 : 0x45);
    store8(ip + (ipv6 ? 6 : 9), ip_proto);
    Frame frame;
    frame.len = bytes.size();
    return taken_for_sock_wfree(frame, bytes.data());
  };
  EXPECT_FALSE(taken(kEthPIp, kIpProtoTcp));
  EXPECT_FALSE(taken(kEthPIpv6, kIpProtoTcp, true));
  EXPECT_FALSE(taken(kEthPIp, kIpProtoIgmp));
  EXPECT_FALSE(taken(kEthPArp, 0));
  EXPECT_TRUE(taken(kEthPIp, kIpProtoUdp));
  EXPECT_TRUE(taken(kEthPIpv6, kIpProtoUdp, true));
  EXPECT_TRUE(taken(kEthPIp, 1)) << "ICMP";
  EXPECT_TRUE(taken(kEthPIpv6, 58, true)) << "ICMPv6, neighbour discovery and MLD included";
  EXPECT_TRUE(taken(0x88cc, 0)) << "LLDP, by a packet socket";
}

}  // namespace
}  // namespace vethd

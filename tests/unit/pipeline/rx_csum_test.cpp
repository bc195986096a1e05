// Checksums that a sender has left unfinished, in frames that nothing says so of.
#include "daemon/pipeline/rx_csum.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/frame/chain.hpp"
#include "daemon/pipeline/validate_xmit.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Check;
using test::Packet;
using test::Spec;
using test::Writer;

constexpr std::size_t kEthBytes = 14;

Packet built(Spec spec, Check check) {
  spec.check = check;
  return test::build(spec);
}

const Spec kSpecs[] = {{},
                       {.tcp = false},
                       {.ipv6 = true},
                       {.ipv6 = true, .tcp = false},
                       {.tags = 2, .tcp_options = Bytes(12, std::byte{1})},
                       {.tags = 5},
                       {.network_options = Bytes(8)},
                       {.ipv6 = true, .network_options = test::extension_header(6)},
                       {.payload = 101},
                       {.tcp = false, .payload = 0},
                       {.payload = 10, .padding = 6}};

class RxCsum : public testing::Test {
 protected:
  /// As a socket receives it: what the kernel knew of it is gone.
  Packet received(Packet packet) {
    packet.meta = {};
    Frame& frame = frames_.put(packet);
    mark_unfinished_checksum(frame, frames_.arena());
    Packet seen = frames_.look(frame);
    frames_.pool().release(frame);
    return seen;
  }

  /// The same, on its way to a device that takes only finished frames.
  Bytes passed_on(Packet packet) {
    packet.meta = {};
    Frame& frame = frames_.put(packet);
    mark_unfinished_checksum(frame, frames_.arena());
    if (frame.meta.ip_summed == IpSummed::partial) {
      EXPECT_TRUE(finish_checksum(frame, frames_.arena()));
    }
    Bytes bytes = frames_.look(frame).bytes;
    frames_.pool().release(frame);
    return bytes;
  }

  test::Frames frames_;
};

TEST_F(RxCsum, TellsUnfinishedChecksumsFromFinishedOnes) {
  for (const Spec& spec : kSpecs) {
    const Packet sent = built(spec, Check::unfinished);
    test::expect_same(received(sent), sent, "unfinished");
    for (const Check check : {Check::finished, Check::zero}) {
      const Packet other = built(spec, check);
      const Packet seen = received(other);
      EXPECT_EQ(seen.meta.ip_summed, IpSummed::none);
      EXPECT_EQ(seen.bytes, other.bytes);
    }
  }
}

TEST_F(RxCsum, DoesNotBelieveLengthsBeyondTheFrame) {
  Packet cut = built({}, Check::unfinished);
  cut.bytes.resize(cut.bytes.size() - 1);
  EXPECT_EQ(received(cut).meta.ip_summed, IpSummed::none);
}

// Encapsulations: each writes what it puts in front of an inner packet or frame.

Bytes packet_of(const Bytes& frame) { return {frame.begin() + kEthBytes, frame.end()}; }

Writer ethernet(unsigned type) {
  Writer out;
  out.u16(0x0200).u32(2).u16(0x0200).u32(1).u16(type);
  return out;
}

Bytes in_ipv4(unsigned protocol, const Bytes& inner) {
  Writer header;
  header.u8(0x45).u8(0).u16(static_cast<unsigned>(20 + inner.size())).u16(1).u16(0x4000);
  header.u8(64).u8(protocol).u16(0).u32(0xc0a80001).u32(0xc0a80002);
  header.set16(10, test::plain_checksum(header.from(0)));
  return ethernet(0x0800).bytes(header.from(0)).bytes(inner).from(0);
}

Bytes in_ipv6(unsigned protocol, const Bytes& inner) {
  Writer out = ethernet(0x86dd);
  out.u32(0x60000000).u16(static_cast<unsigned>(inner.size())).u8(protocol).u8(64);
  out.u32(0xfd000000).zero(8).u32(1).u32(0xfd000000).zero(8).u32(2);
  return out.bytes(inner).from(0);
}

struct Tunnel {
  const char* name;
  bool carries_frames;  // else packets
  bool of_udp;
  Bytes (*header)(bool inner_ipv6);
  unsigned protocol;  // of IP, without UDP
};

const Tunnel kTunnels[] = {
    {"ipip", false, false, [](bool) { return Bytes{}; }, 0},
    {"gre", false, false, [](bool v6) { return Writer().u16(0).u16(v6 ? 0x86dd : 0x0800).from(0); },
     47},
    {"gre with checksum, key and sequence", false, false,
     [](bool v6) {
       return Writer().u16(0xb000).u16(v6 ? 0x86dd : 0x0800).u32(0x12340000).u32(7).u32(1).from(0);
     },
     47},
    {"gretap", true, false, [](bool) { return Writer().u16(0x2000).u16(0x6558).u32(7).from(0); },
     47},
    {"mpls in ip", false, false,
     [](bool) { return Writer().u32(0x00010040).u32(0x00064140).from(0); }, 137},
    {"vxlan", true, true, [](bool) { return Writer().u32(0x08000000).u32(7 << 8).from(0); }, 0},
    {"vxlan with group policy", true, true,
     [](bool) { return Writer().u32(0x88080055).u32(7 << 8).from(0); }, 0},
    {"vxlan-gpe", false, true,
     [](bool v6) { return Writer().u32(v6 ? 0x0c000002U : 0x0c000001U).u32(7 << 8).from(0); }, 0},
    {"geneve", true, true, [](bool) { return Writer().u32(0x00006558).u32(7 << 8).from(0); }, 0},
    {"geneve with options, of packets", false, true,
     [](bool v6) {
       return Writer()
           .u16(0x0200)
           .u16(v6 ? 0x86dd : 0x0800)
           .u32(7 << 8)
           .u32(0x01028001)
           .u32(9)
           .from(0);
     },
     0},
    {"fou", false, true, [](bool) { return Bytes{}; }, 0},
    {"fou with gre", false, true,
     [](bool v6) { return Writer().u16(0x2000).u16(v6 ? 0x86dd : 0x0800).u32(7).from(0); }, 0},
    {"fou with gretap", true, true, [](bool) { return Writer().u16(0).u16(0x6558).from(0); }, 0},
    {"gue", false, true, [](bool v6) { return Writer().u8(0).u8(v6 ? 41 : 4).u16(0).from(0); }, 0},
};

/// Bytes of a UDP packet; its checksum, if it is to have one, for the payload as given.
Bytes udp(const Bytes& payload, bool ipv6, bool checksum) {
  const auto bytes = static_cast<unsigned>(8 + payload.size());
  Writer packet;
  packet.u16(50000).u16(4321).u16(bytes).u16(0).bytes(payload);
  if (!checksum) return packet.from(0);
  Writer pseudo;
  if (ipv6)
    pseudo.u32(0xfd000000).zero(8).u32(1).u32(0xfd000000).zero(8).u32(2);
  else
    pseudo.u32(0xc0a80001).u32(0xc0a80002);
  const unsigned sum =
      test::plain_checksum(pseudo.u32(bytes).u32(17).bytes(packet.from(0)).from(0));
  packet.set16(6, sum == 0 ? 0xffff : sum);
  return packet.from(0);
}

Bytes behind(const Tunnel& tunnel, bool inner_ipv6, const Bytes& inner_frame) {
  return Writer()
      .bytes(tunnel.header(inner_ipv6))
      .bytes(tunnel.carries_frames ? inner_frame : packet_of(inner_frame))
      .from(0);
}

enum class Outer : std::uint8_t { plain, checksum, wrong_checksum };

/// As a tunnel device leaves it: an outer checksum counts on the inner one being finished. `kept`
/// and `finished` differ in nothing but that.
Bytes wrapped(const Tunnel& tunnel, bool outer_ipv6, bool inner_ipv6, const Bytes& kept,
              const Bytes& finished, Outer outer) {
  Bytes payload = behind(tunnel, inner_ipv6, kept);
  unsigned protocol = tunnel.protocol;
  if (protocol == 0) protocol = inner_ipv6 ? 41 : 4;
  if (tunnel.of_udp) {
    protocol = 17;
    Bytes with_sum = udp(behind(tunnel, inner_ipv6, finished), outer_ipv6, outer != Outer::plain);
    if (outer == Outer::wrong_checksum) with_sum[7] ^= std::byte{1};
    payload = Writer().bytes({with_sum.begin(), with_sum.begin() + 8}).bytes(payload).from(0);
  }
  return outer_ipv6 ? in_ipv6(protocol, payload) : in_ipv4(protocol, payload);
}

template <class Play>
void for_each_encapsulation(Play&& play) {
  for (const Tunnel& tunnel : kTunnels)
    for (const bool outer_ipv6 : {false, true})
      for (const Spec& inner : {Spec{}, Spec{.tcp = false, .payload = 33}, Spec{.ipv6 = true},
                                Spec{.ipv6 = true, .tcp = false}}) {
        SCOPED_TRACE(std::string(tunnel.name) + (inner.ipv6 ? ", IPv6" : ", IPv4") +
                     (inner.tcp ? " TCP" : " UDP") + (outer_ipv6 ? " in IPv6" : " in IPv4"));
        play(tunnel, outer_ipv6, inner);
      }
}

TEST_F(RxCsum, FindsUnfinishedChecksumsBehindEncapsulations) {
  for_each_encapsulation([&](const Tunnel& tunnel, bool outer_ipv6, const Spec& inner) {
    const Bytes unfinished = built(inner, Check::unfinished).bytes;
    const Bytes finished = built(inner, Check::finished).bytes;
    for (const Outer outer : {Outer::plain, Outer::checksum}) {
      if (outer != Outer::plain && !tunnel.of_udp) continue;
      const auto wrap = [&](const Bytes& kept) {
        return wrapped(tunnel, outer_ipv6, inner.ipv6, kept, finished, outer);
      };
      EXPECT_EQ(passed_on({.bytes = wrap(unfinished), .meta = {}}), wrap(finished));
      EXPECT_EQ(passed_on({.bytes = wrap(finished), .meta = {}}), wrap(finished));
    }
  });
}

// A program's own tunnel, or a capture, whose UDP checksum is that of the bytes as they are.
TEST_F(RxCsum, LeavesWhatAnOuterChecksumDoesNotCountOn) {
  for_each_encapsulation([&](const Tunnel& tunnel, bool outer_ipv6, const Spec& inner) {
    if (!tunnel.of_udp) return;
    const Bytes unfinished = built(inner, Check::unfinished).bytes;
    const Bytes finished = built(inner, Check::finished).bytes;
    for (const Bytes& frame :
         {wrapped(tunnel, outer_ipv6, inner.ipv6, unfinished, unfinished, Outer::checksum),
          wrapped(tunnel, outer_ipv6, inner.ipv6, unfinished, finished, Outer::wrong_checksum)})
      EXPECT_EQ(passed_on({.bytes = frame, .meta = {}}), frame);
  });
}

TEST_F(RxCsum, FinishesAnOuterChecksumAroundAFinishedPacket) {
  const Bytes inner = built({}, Check::finished).bytes;
  const Tunnel& vxlan = kTunnels[5];
  ASSERT_STREQ(vxlan.name, "vxlan");
  const Bytes sent = wrapped(vxlan, false, false, inner, inner, Outer::checksum);
  Bytes left = sent;
  Writer pseudo;
  pseudo.u32(0xc0a80001).u32(0xc0a80002).u32(static_cast<unsigned>(left.size() - 34)).u32(17);
  const unsigned sum = static_cast<std::uint16_t>(~test::plain_checksum(pseudo.from(0)));
  left[40] = static_cast<std::byte>(sum >> 8);
  left[41] = static_cast<std::byte>(sum & 0xff);
  EXPECT_EQ(passed_on({.bytes = left, .meta = {}}), sent);
}

TEST_F(RxCsum, LeavesRemoteChecksumOffloadToTheReceiver) {
  const Bytes inner = built({}, Check::unfinished).bytes;
  const Tunnel remote{"vxlan with RCO", true, true,
                      [](bool) { return Writer().u32(0x08200000).u32(7 << 8 | 0x11).from(0); }, 0};
  const Bytes sent = wrapped(remote, false, false, inner, inner, Outer::plain);
  EXPECT_EQ(passed_on({.bytes = sent, .meta = {}}), sent);
}

TEST_F(RxCsum, LooksBehindPppoeAndMpls) {
  for (const bool ipv6 : {false, true}) {
    const Bytes unfinished = packet_of(built({.ipv6 = ipv6}, Check::unfinished).bytes);
    const Bytes finished = packet_of(built({.ipv6 = ipv6}, Check::finished).bytes);
    const auto length = static_cast<unsigned>(finished.size() + 2);
    const Writer pppoe =
        ethernet(0x8864).u16(0x1100).u16(1).u16(length).u16(ipv6 ? 0x0057 : 0x0021);
    const Writer mpls = ethernet(0x8847).u32(0x00010040).u32(0x00064140);
    for (const Writer& head : {pppoe, mpls}) {
      const auto frame = [&](const Bytes& inner) { return Writer(head).bytes(inner).from(0); };
      EXPECT_EQ(passed_on({.bytes = frame(unfinished), .meta = {}}), frame(finished));
    }
  }
}

TEST_F(RxCsum, LooksAtSoManyHeadersAndNoMore) {
  for (const unsigned tags : {13U, 14U}) {
    const Packet sent = built({.tags = tags}, Check::unfinished);
    EXPECT_EQ(received(sent).meta.ip_summed, tags == 13 ? IpSummed::partial : IpSummed::none)
        << tags;
  }
}

// CRC32c, bit by bit.
std::uint32_t plain_crc32c(const Bytes& bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

Bytes sctp(std::uint32_t payload) {
  Writer out;
  out.u16(5000).u16(5001).u32(0x12345678).u32(0);
  for (std::uint32_t i = 0; i < payload; ++i) out.u8(test::stream_byte(i));
  return out.from(0);
}

Bytes with_crc(Bytes packet) {
  const std::uint32_t crc = plain_crc32c(packet);
  for (unsigned i = 0; i < 4; ++i) packet[8 + i] = static_cast<std::byte>(crc >> (8 * i) & 0xff);
  return packet;
}

TEST_F(RxCsum, FinishesSctpWhichNoVnetHeaderCanSpeakOf) {
  for (const std::uint32_t payload : {16U, 333U, 1400U}) {
    const Bytes left = sctp(payload);
    Bytes wrong = with_crc(left);
    wrong[9] ^= std::byte{1};
    for (const bool ipv6 : {false, true}) {
      const auto frame = [&](const Bytes& packet) {
        return ipv6 ? in_ipv6(132, packet) : in_ipv4(132, packet);
      };
      EXPECT_EQ(passed_on({.bytes = frame(left), .meta = {}}), frame(with_crc(left)));
      EXPECT_EQ(passed_on({.bytes = frame(wrong), .meta = {}}), frame(wrong));
    }
  }
}

TEST_F(RxCsum, FinishesSctpInSeveralPieces) {
  const Bytes sent = in_ipv4(132, sctp(3000));
  const auto middle = sent.begin() + 1001;
  Frame& frame = frames_.put({.bytes = {sent.begin(), middle}, .meta = {}});
  chain(frame, frames_.put({.bytes = {middle, sent.end()}, .meta = {}}), 0);
  mark_unfinished_checksum(frame, frames_.arena());
  EXPECT_EQ(frames_.look(frame).bytes, in_ipv4(132, with_crc(sctp(3000))));
  frames_.pool().release(frame);
}

/// Whatever is cut off, nothing is read or written beyond it (under ASan), nor anything changed.
TEST_F(RxCsum, StaysWithinTruncatedFrames) {
  for_each_encapsulation([&](const Tunnel& tunnel, bool outer_ipv6, const Spec& inner) {
    const Bytes unfinished = built(inner, Check::unfinished).bytes;
    const Bytes whole =
        wrapped(tunnel, outer_ipv6, inner.ipv6, unfinished, unfinished, Outer::plain);
    for (std::size_t bytes = kEthBytes; bytes < whole.size(); ++bytes) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
      ASSERT_EQ(passed_on({.bytes = cut, .meta = {}}), cut);
    }
  });
}

}  // namespace
}  // namespace vethd

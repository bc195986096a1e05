// The internet checksum against the plain loop of RFC 1071, and where the headers lie.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/headers.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd {
namespace {

using test::Bytes;
using test::Packet;
using test::Spec;

Bytes bytes_of(std::size_t count, unsigned salt) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>(test::stream_byte(static_cast<std::uint32_t>(i) + salt));
  return bytes;
}

std::uint16_t checksum_of(Wsum sum) { return static_cast<std::uint16_t>(~csum_fold(sum)); }

// --- csum_partial() and its relatives ---------------------------------------------------------

TEST(Checksum, IsThatOfRfc1071ForEveryLengthAndAlignment) {
  const Bytes bytes = bytes_of(200, 1);
  for (std::size_t start = 0; start < 9; ++start)
    for (std::size_t count = 0; start + count <= bytes.size(); ++count) {
      const Bytes part(bytes.begin() + static_cast<std::ptrdiff_t>(start),
                       bytes.begin() + static_cast<std::ptrdiff_t>(start + count));
      EXPECT_EQ(checksum_of(csum_partial(bytes.data() + start, count)), test::plain_checksum(part))
          << start << "+" << count;
    }
}

TEST(Checksum, CarriesComeRoundWhenEveryWordIsFull) {
  for (const std::size_t count : {1U, 2U, 15U, 16U, 17U, 65535U}) {
    const Bytes bytes(count, std::byte{0xff});
    EXPECT_EQ(checksum_of(csum_partial(bytes.data(), count)), test::plain_checksum(bytes)) << count;
  }
}

TEST(Checksum, CopiesWhatItSumsAndNotAByteMore) {
  const Bytes from = bytes_of(100, 2);
  for (std::size_t count = 0; count <= from.size(); ++count) {
    Bytes to(from.size() + 1, std::byte{0xee});
    EXPECT_EQ(csum_fold(csum_copy(to.data(), from.data(), count)),
              csum_fold(csum_partial(from.data(), count)));
    EXPECT_TRUE(
        std::equal(to.begin(), to.begin() + static_cast<std::ptrdiff_t>(count), from.begin()));
    EXPECT_TRUE(std::all_of(to.begin() + static_cast<std::ptrdiff_t>(count), to.end(),
                            [](std::byte byte) { return byte == std::byte{0xee}; }));
  }
}

TEST(Checksum, OfTwoPartsIsThatOfTheWholeAlsoBehindAnOddByte) {
  const Bytes bytes = bytes_of(61, 3);
  const std::uint16_t whole = csum_fold(csum_partial(bytes.data(), bytes.size()));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut)
    EXPECT_EQ(csum_fold(csum_block_add(csum_partial(bytes.data(), cut),
                                       csum_partial(bytes.data() + cut, bytes.size() - cut), cut)),
              whole)
        << cut;
}

TEST(Checksum, TakesOutWhatWasAdded) {
  const Bytes bytes = bytes_of(20, 4);
  const Wsum sum = csum_partial(bytes.data(), bytes.size());
  for (const std::uint32_t number : {0U, 1U, 0xffffU, 0x10000U, 0xfffffffeU})
    EXPECT_EQ(csum_fold(csum_sub(csum_add(sum, csum_of(number)), csum_of(number))), csum_fold(sum));
}

TEST(Checksum, AddsNumbersAsNetworkOrderWords) {
  EXPECT_EQ(csum_fold(csum_of(0x1234)), 0x1234);
  EXPECT_EQ(csum_fold(csum_of(0x00010002)), 3);
}

// --- l4_checksum_holds() ----------------------------------------------------------------------

TEST(L4Checksum, HoldsForWhatASenderFinishedAndForNoDamage) {
  for (const bool ipv6 : {false, true})
    for (const bool tcp : {false, true}) {
      Packet packet = test::build({.ipv6 = ipv6, .tcp = tcp, .payload = 33});
      const auto len = static_cast<std::uint32_t>(packet.bytes.size());
      const auto headers = find_headers(packet.bytes.data(), len);
      ASSERT_TRUE(headers);
      EXPECT_TRUE(l4_checksum_holds(packet.bytes.data(), *headers, len));
      for (std::size_t at = headers->l4; at < len; ++at) {
        const std::byte before = packet.bytes[at];
        packet.bytes[at] ^= std::byte{0x40};
        EXPECT_FALSE(l4_checksum_holds(packet.bytes.data(), *headers, len)) << at;
        packet.bytes[at] = before;
      }
    }
}

TEST(L4Checksum, DoesNotHoldForUdpWithoutOne) {
  const Packet packet = test::build({.tcp = false, .check = test::Check::zero});
  const auto len = static_cast<std::uint32_t>(packet.bytes.size());
  EXPECT_FALSE(
      l4_checksum_holds(packet.bytes.data(), *find_headers(packet.bytes.data(), len), len));
}

// --- find_headers() ---------------------------------------------------------------------------

TEST(Headers, LieBehindTagsOptionsAndExtensionHeaders) {
  struct Case {
    Spec spec;
    Headers headers;
  };
  const Case cases[] = {
      {{}, {.l3 = 14, .l4 = 34, .payload = 54, .tcp = true}},
      {{.tcp = false}, {.l3 = 14, .l4 = 34, .payload = 42}},
      {{.ipv6 = true}, {.l3 = 14, .l4 = 54, .payload = 74, .ipv6 = true, .tcp = true}},
      {{.tags = 2}, {.l3 = 22, .l4 = 42, .payload = 62, .tcp = true}},
      {{.network_options = Bytes(8)}, {.l3 = 14, .l4 = 42, .payload = 62, .tcp = true}},
      {{.tcp_options = Bytes(12)}, {.l3 = 14, .l4 = 34, .payload = 66, .tcp = true}},
      {{.ipv6 = true, .tcp = false, .network_options = test::extension_header(17)},
       {.l3 = 14, .l4 = 62, .payload = 70, .ipv6 = true}},
  };
  for (const Case& test_case : cases) {
    const Packet packet = test::build(test_case.spec);
    const auto found =
        find_headers(packet.bytes.data(), static_cast<std::uint32_t>(packet.bytes.size()));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->l3, test_case.headers.l3);
    EXPECT_EQ(found->l4, test_case.headers.l4);
    EXPECT_EQ(found->payload, test_case.headers.payload);
    EXPECT_EQ(found->ipv6, test_case.headers.ipv6);
    EXPECT_EQ(found->tcp, test_case.headers.tcp);
  }
}

TEST(Headers, AreFoundExactlyWhenAllOfThemAreThere) {
  const Spec specs[] = {{.tags = 1, .tcp_options = Bytes(8)},
                        {.ipv6 = true, .tcp = false},
                        {.network_options = Bytes(40)},
                        {.ipv6 = true, .network_options = test::extension_header(6)}};
  for (const Spec& spec : specs) {
    const Packet packet = test::build(spec);
    const std::size_t headers = packet.bytes.size() - spec.payload;
    for (std::size_t len = 0; len <= packet.bytes.size(); ++len) {
      // A block of exactly its size: a sanitizer sees each byte read too many.
      const auto exact = std::make_unique<std::byte[]>(len);
      std::copy_n(packet.bytes.begin(), len, exact.get());
      // And in a longer one: what lies behind must make no difference.
      for (const std::byte* data :
           {static_cast<const std::byte*>(exact.get()), packet.bytes.data()})
        EXPECT_EQ(find_headers(data, static_cast<std::uint32_t>(len)).has_value(), len >= headers)
            << len;
    }
  }
}

TEST(Headers, AreNotFoundInOtherFrames) {
  const auto found = [](Packet packet, std::size_t at, unsigned value) {
    packet.bytes[at] = static_cast<std::byte>(value);
    return find_headers(packet.bytes.data(), static_cast<std::uint32_t>(packet.bytes.size()))
        .has_value();
  };
  const Packet v4 = test::build({});
  const Packet v6 = test::build({.ipv6 = true});
  EXPECT_TRUE(found(v4, 14, 0x45));
  EXPECT_FALSE(found(v4, 13, 0x06)) << "ARP";
  EXPECT_FALSE(found(v4, 14, 0x65)) << "not version 4";
  EXPECT_FALSE(found(v4, 14, 0x44)) << "header shorter than it can be";
  EXPECT_FALSE(found(v4, 20, 0x20)) << "first fragment";
  EXPECT_FALSE(found(v4, 21, 0x01)) << "later fragment";
  EXPECT_FALSE(found(v4, 23, 1)) << "ICMP";
  EXPECT_FALSE(found(v4, 46, 0x40)) << "TCP header shorter than it can be";
  EXPECT_FALSE(found(v6, 20, 44)) << "fragment header";
  EXPECT_FALSE(found(v6, 20, 58)) << "ICMPv6";
  EXPECT_FALSE(found(test::build({.tags = 3}), 13, 0x00))
      << "more tags than a device's and a user's";
}

TEST(Headers, AreNotLookedForBehindEndlessExtensionHeaders) {
  test::Writer frame;
  frame.zero(12).u16(0x86dd).u32(0x60000000).u16(0).u8(60).u8(64).zero(32);
  for (int i = 0; i < 100; ++i) frame.bytes(test::extension_header(60));
  const Bytes bytes = frame.from(0);
  EXPECT_FALSE(find_headers(bytes.data(), static_cast<std::uint32_t>(bytes.size())));
}

}  // namespace
}  // namespace vethd

// Row 13: what the receiver is told of checksums, and what its UDP makes of them.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

constexpr Setup kWithStack{.addresses = true};

Case told(const std::string& name, const Input& input, const char* checksum) {
  return {.row = 13,
          .name = name,
          .steps = {from_a({input})},
          .expected = {{"sent", "ok"}, {"b got", "1"}, {"b checksum", checksum}}};
}

Case heard(const std::string& name, const Input& input, const char* datagrams,
           const char* wrong_checksums) {
  return {
      .row = 13,
      .name = name,
      .setup = kWithStack,
      .steps = {listen(), from_a({input})},
      .expected = {{"b got", "1"}, {"b udp", datagrams}, {"b snmp InCsumErrors", wrong_checksums}}};
}

/// A frame whose checksum is to be completed from start on, whatever stands there.
Input unfinished(std::uint16_t start, std::uint16_t offset) {
  Input input = ethernet({.bytes = 200, .to = kMacB});
  input.vnet = VnetHeader{.flags = kNeedsCsum,
                          .gso_type = kGsoNone,
                          .hdr_len = 0,
                          .gso_size = 0,
                          .csum_start = start,
                          .csum_offset = offset};
  return input;
}

Input damaged(Input input) {
  input.bytes.back() = static_cast<std::uint8_t>(~input.bytes.back());
  return input;
}

}  // namespace

std::vector<Case> checksum_cases() {
  const Packet partial{.payload = 100, .checksum = Checksum::partial};
  const Packet partial_v6{.payload = 100, .v6 = true, .checksum = Checksum::partial};
  const Packet super{.payload = 3000, .checksum = Checksum::partial, .gso_size = 1000};
  return {
      told("a finished UDP checksum", udp({.payload = 100}), "none"),
      told("a partial UDP/IPv4 checksum", udp(partial), "partial:34+6"),
      told("a partial UDP/IPv6 checksum", udp(partial_v6), "partial:54+6"),
      told("a partial TCP/IPv4 checksum", tcp(partial), "partial:34+16"),
      told("a partial TCP/IPv6 checksum", tcp(partial_v6), "partial:54+16"),
      told("a partial checksum of something unknown", unfinished(20, 4), "partial:20+4"),
      {.row = 13,
       .name = "b to a: a partial checksum",
       .steps = {from_b({udp(partial)})},
       .expected = {{"sent", "ok"}, {"a got", "1"}, {"a checksum", "partial:34+6"}}},
      {.row = 13,
       .name = "a super-frame's checksum is partial",
       .steps = {from_a({tcp(super), udp(super)})},
       .expected = {{"b got", "1:tcp4/1000 2:udp/1000"},
                    {"b checksum", "partial:34+16 partial:34+6"}}},
      {.row = 13,
       .name = "the stack's own datagram has a partial checksum",
       .setup = kWithStack,
       .steps = {listen(), datagram(100)},
       .expected = {{"b udp", "100"}, {"b checksum", "partial:34+6"}}},
      heard("UDP takes a finished checksum that is right", udp({.payload = 100}), "100", "0"),
      heard("UDP takes a partial checksum", udp(partial), "100", "0"),
      heard("UDP takes a partial checksum on trust", damaged(udp(partial)), "100", "0"),
      heard("UDP takes no checksum", udp({.payload = 100, .checksum = Checksum::zero}), "100", "0"),
      heard("UDP drops a finished checksum that is wrong",
            udp({.payload = 100, .checksum = Checksum::wrong}), "", "1"),
      heard("UDP drops a payload damaged behind a finished checksum",
            damaged(udp({.payload = 100})), "", "1"),
  };
}

}  // namespace vethd::parity

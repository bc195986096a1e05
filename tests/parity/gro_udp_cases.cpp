// Row 14, UDP: which datagrams of one poll b's GRO makes one of.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

constexpr Setup kForwarding{.b = {.gro = true, .rx_udp_gro_forwarding = true}};

using Packets = std::vector<Packet>;

Case merges(const std::string& name, const Packets& packets, const std::string& got,
            const Setup& setup = kForwarding) {
  std::vector<Input> inputs;
  for (const Packet& packet : packets) inputs.push_back(udp(packet));
  return {.row = 14,
          .name = "UDP: " + name,
          .setup = setup,
          .steps = {together(inputs)},
          .expected = {{"b got", got}}};
}

/// The first three of a stream, the second one changed.
Case second(const std::string& name, Packet changed, const std::string& got) {
  changed.n = 2;
  return merges(name, {{.n = 1, .v6 = changed.v6}, changed, {.n = 3, .v6 = changed.v6}}, got);
}

}  // namespace

std::vector<Case> gro_udp_cases() {
  const Setup without_forwarding{.a = {.tso = false}, .b = {.gro = true}};
  Setup with_stack = kForwarding;
  with_stack.addresses = true;
  Packets many;
  std::string sixty_four = "1";
  for (unsigned n = 1; n <= 66; ++n) {
    many.push_back({.n = n, .payload = 100});
    if (n > 1 && n <= 64) sixty_four.append("+").append(std::to_string(n));
  }
  constexpr const char* kMerged = "1+2+3:udp/1000";
  return {
      merges("equal lengths", {{.n = 1}, {.n = 2}, {.n = 3}}, kMerged),
      merges("a single datagram", {{.n = 1}}, "1"),
      merges("not without forwarding", {{.n = 1}, {.n = 2}, {.n = 3}}, "1 2 3", without_forwarding),
      merges("a short last datagram", {{.n = 1}, {.n = 2}, {.n = 3, .payload = 500}}, kMerged),
      merges("a short datagram completes", {{.n = 1}, {.n = 2, .payload = 500}, {.n = 3}},
             "1+2:udp/1000 3"),
      merges("a longer datagram", {{.n = 1, .payload = 500}, {.n = 2}, {.n = 3}}, "1 2+3:udp/1000"),
      merges("64 datagrams at most", many, sixty_four + ":udp/100 65+66:udp/100"),
      second("no checksum", {.checksum = Checksum::zero}, "2 1 3"),
      merges("no checksums",
             {{.n = 1, .checksum = Checksum::zero}, {.n = 2, .checksum = Checksum::zero}}, "1 2"),
      second("a wrong checksum", {.checksum = Checksum::wrong}, "2 1 3"),
      merges("partial checksums",
             {{.n = 1, .checksum = Checksum::partial}, {.n = 2, .checksum = Checksum::partial}},
             "1+2:udp/1000"),
      merges("another source port", {{.n = 1}, {.n = 2, .source_port = 4001}}, "1 2"),
      merges("another port", {{.n = 1}, {.n = 2, .port = 9001}}, "1 2"),
      merges("two flows in turn",
             {{.n = 1}, {.n = 1, .source_port = 4001}, {.n = 2}, {.n = 2, .source_port = 4001}},
             "1+3:udp/1000 2+4:udp/1000"),
      second("another TTL", {.ttl = 63}, "1 2 3"),
      second("another TOS", {.tos = 4}, "1 2 3"),
      second("without DF", {.df = false}, "1 2 3"),
      second("an id that jumps", {.id = 7}, "1 2 3"),
      merges("a constant id", {{.n = 1, .id = 7}, {.n = 2, .id = 7}, {.n = 3, .id = 7}}, kMerged),
      second("an IP option", {.ip_options = {1, 1, 1, 1}}, "2 1 3"),
      second("padding behind it", {.padding = 6}, "2 1 3"),
      merges("IPv6: equal lengths",
             {{.n = 1, .v6 = true}, {.n = 2, .v6 = true}, {.n = 3, .v6 = true}}, kMerged),
      second("IPv6: another hop limit", {.v6 = true, .ttl = 63}, "1 2 3"),
      second("IPv6: a wrong checksum", {.v6 = true, .checksum = Checksum::wrong}, "2 1+3:udp/1000"),
      {.row = 14,
       .name = "UDP: a socket without UDP_GRO gets each datagram",
       .setup = with_stack,
       .steps = {listen(), together({udp({.n = 1}), udp({.n = 2}), udp({.n = 3, .payload = 10})})},
       .expected = {{"b got", kMerged}, {"b udp", "1000 1000 10"}}},
      {.row = 14,
       .name = "UDP: a wrong checksum is not made right on the way",
       .setup = with_stack,
       .steps = {listen(), together({udp({.n = 1}), udp({.n = 2, .checksum = Checksum::wrong})})},
       .expected = {{"b got", "2 1"}, {"b udp", "1000"}, {"b snmp InCsumErrors", "1"}}},
      merges("what cannot merge overtakes what is held",
             {{.n = 1}, {.n = 9, .port = 9001, .checksum = Checksum::zero}, {.n = 2}},
             "2 1+3:udp/1000"),
  };
}

}  // namespace vethd::parity

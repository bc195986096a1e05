// Row 14, TCP: which segments of one poll b's GRO makes one of.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

constexpr Setup kGro{.a = {.tso = false}, .b = {.gro = true}};

using Packets = std::vector<Packet>;

/// "1+2" was merged, "1 2" was not; in the order of delivery.
Case merges(const std::string& name, const Packets& packets, const std::string& got,
            std::vector<Difference> elsewhere = {}) {
  std::vector<Input> inputs;
  for (const Packet& packet : packets) inputs.push_back(tcp(packet));
  return {.row = 14,
          .name = "TCP: " + name,
          .setup = kGro,
          .steps = {together(inputs)},
          .expected = {{"b got", got}},
          .elsewhere = std::move(elsewhere)};
}

/// The first three of a stream, the second one changed.
Case second(const std::string& name, Packet changed, const std::string& got,
            std::vector<Difference> elsewhere = {}) {
  changed.n = 2;
  const Packet first{.n = 1, .v6 = changed.v6};
  const Packet third{.n = 3, .v6 = changed.v6};
  return merges(name, {first, changed, third}, got, std::move(elsewhere));
}

Packets stream(unsigned count, std::size_t payload, bool v6 = false) {
  Packets made;
  for (unsigned n = 1; n <= count; ++n) {
    const auto place = static_cast<std::int32_t>(n * payload) - static_cast<std::int32_t>(n * 1000);
    made.push_back({.n = n, .payload = payload, .v6 = v6, .seq_shift = place});
  }
  return made;
}

/// "1+2+3" for 1 to 3
std::string numbers(unsigned from, unsigned to) {
  std::string text = std::to_string(from);
  for (unsigned n = from + 1; n <= to; ++n) text.append("+").append(std::to_string(n));
  return text;
}

constexpr const char* kMerged = "1+2+3:tcp4/1000";
constexpr const char* kMergedV6 = "1+2+3:tcp6/1000";

std::vector<Case> by_tcp_header() {
  return {
      merges("consecutive", {{.n = 1}, {.n = 2}, {.n = 3}}, kMerged),
      merges("a single segment", {{.n = 1}}, "1"),
      merges("a gap", {{.n = 1}, {.n = 3}}, "1 2"),
      merges("a gap, then consecutive", {{.n = 1}, {.n = 3}, {.n = 4}}, "1 2+3:tcp4/1000"),
      merges("in reverse", {{.n = 2}, {.n = 1}}, "1 2"),
      merges("a segment twice", {{.n = 1}, {.n = 1}}, "1 1"),
      second("another ack", {.ack = 8}, "1 2 3"),
      second("another window", {.window = 501}, "1 2 3"),
      second("PSH", {.flags = kAck | kPsh}, "1+2:tcp4/1000 3"),
      merges("PSH on the first", {{.n = 1, .flags = kAck | kPsh}, {.n = 2}}, "1 2"),
      second("FIN", {.flags = kAck | kFin}, "1+2:tcp4/1000 3"),
      second("SYN", {.flags = kAck | kSyn}, "1 2 3"),
      second("RST", {.flags = kAck | kRst}, "1 2 3"),
      second("URG", {.flags = kAck | kUrg}, "1 2 3"),
      second("ECE", {.flags = kAck | kEce}, "1 2 3"),
      second("CWR", {.flags = kAck | kCwr}, "1 2 3"),
      merges("CWR on the first", {{.n = 1, .flags = kAck | kCwr}, {.n = 2}}, "1 2",
             {{"6.12", {{"b got", "1+2:tcp4+ecn/1000"}}}}),
      merges("ECE on all", {{.n = 1, .flags = kAck | kEce}, {.n = 2, .flags = kAck | kEce}},
             "1+2:tcp4/1000"),
      second("an option more", {.options = {1, 1, 1, 1}}, "1 2 3"),
      merges("equal timestamps",
             {{.n = 1, .options = timestamps(5, 6)}, {.n = 2, .options = timestamps(5, 6)}},
             "1+2:tcp4/1000"),
      merges("another timestamp",
             {{.n = 1, .options = timestamps(5, 6)}, {.n = 2, .options = timestamps(6, 6)}}, "1 2"),
      merges("a short last segment", {{.n = 1}, {.n = 2}, {.n = 3, .payload = 500}}, kMerged),
      merges("a short segment completes",
             {{.n = 1}, {.n = 2, .payload = 500}, {.n = 3, .seq_shift = -500}}, "1+2:tcp4/1000 3"),
      merges("a longer segment", {{.n = 1, .payload = 500}, {.n = 2, .seq_shift = -500}}, "1 2"),
      merges("segments of one byte",
             {{.n = 1, .payload = 1}, {.n = 2, .payload = 1, .seq_shift = -999}}, "1+2:tcp4/1"),
      merges("an ACK without data between", {{.n = 1}, {.n = 2, .payload = 0}, {.n = 2}}, "1 2 3"),
      merges("ACKs without data",
             {{.n = 1, .payload = 0}, {.n = 2, .payload = 0, .seq_shift = -1000}}, "1 2"),
      merges("another source port", {{.n = 1}, {.n = 2, .source_port = 4001}}, "1 2"),
      merges("another port", {{.n = 1}, {.n = 2, .port = 9001}}, "1 2"),
      merges("two flows in turn",
             {{.n = 1}, {.n = 1, .source_port = 4001}, {.n = 2}, {.n = 2, .source_port = 4001}},
             "1+3:tcp4/1000 2+4:tcp4/1000"),
      second("a wrong checksum", {.checksum = Checksum::wrong}, "2 1 3"),
      merges("partial checksums",
             {{.n = 1, .checksum = Checksum::partial}, {.n = 2, .checksum = Checksum::partial}},
             "1+2:tcp4/1000"),
  };
}

std::vector<Case> by_ip_header() {
  return {
      second("another TTL", {.ttl = 63}, "1 2 3"),
      second("another TOS", {.tos = 4}, "1 2 3"),
      second("congestion experienced", {.tos = 3}, "1 2 3"),
      second("without DF", {.df = false}, "1 2 3"),
      second("the reserved fragment bit", {.evil = true}, "1 2 3"),
      second("an id that jumps", {.id = 7}, "1 2 3"),
      merges("a constant id with DF", {{.n = 1, .id = 7}, {.n = 2, .id = 7}, {.n = 3, .id = 7}},
             kMerged),
      merges("a constant id without DF",
             {{.n = 1, .df = false, .id = 7}, {.n = 2, .df = false, .id = 7}}, "1+2:tcp4/1000",
             {{"6.12", {{"b got", "1 2"}}}, {"6.1", {{"b got", "1 2"}}}}),
      merges("rising ids without DF", {{.n = 1, .df = false}, {.n = 2, .df = false}},
             "1+2:tcp4/1000"),
      merges("an id that rises, then stays", {{.n = 1}, {.n = 2}, {.n = 3, .id = 2}},
             "1+2:tcp4/1000 3"),
      merges("an id that stays, then rises", {{.n = 1}, {.n = 2, .id = 1}, {.n = 3, .id = 2}},
             "1+2:tcp4/1000 3"),
      merges("an id that wraps", {{.n = 1, .id = 0xffff}, {.n = 2, .id = 0}}, "1+2:tcp4/1000"),
      second("an IP option", {.ip_options = {1, 1, 1, 1}}, "2 1 3"),
      second("a fragment", {.df = false, .fragment = 0x2000}, "2 1 3"),
      second("a wrong IP checksum", {.wrong_ip_checksum = true}, "2 1 3"),
      second("padding behind it", {.padding = 6}, "1 2 3"),
      merges("padding behind all", {{.n = 1, .padding = 6}, {.n = 2, .padding = 6}}, "1 2"),
      second("another MAC address", {.to = "02:00:00:00:00:99"}, "1 2 3"),
      merges("to another host",
             {{.n = 1, .to = "02:00:00:00:00:99"}, {.n = 2, .to = "02:00:00:00:00:99"}},
             "1+2:tcp4/1000"),
      second("IPv6: another hop limit", {.v6 = true, .ttl = 63}, "1 2 3"),
      second("IPv6: another traffic class", {.v6 = true, .tos = 4}, "1 2 3"),
      second("IPv6: another flow label", {.v6 = true, .flow_label = 5}, "1 2 3"),
      second("IPv6: another ack", {.v6 = true, .ack = 8}, "1 2 3"),
      second("IPv6: PSH", {.v6 = true, .flags = kAck | kPsh}, "1+2:tcp6/1000 3"),
      second("IPv6: a wrong checksum", {.v6 = true, .checksum = Checksum::wrong}, "2 1 3"),
      second("IPv6: padding behind it", {.v6 = true, .padding = 6}, "1 2 3"),
      merges("IPv6: equal timestamps",
             {{.n = 1, .v6 = true, .options = timestamps(5, 6)},
              {.n = 2, .v6 = true, .options = timestamps(5, 6)}},
             "1+2:tcp6/1000"),
      merges("IPv6: another timestamp",
             {{.n = 1, .v6 = true, .options = timestamps(5, 6)},
              {.n = 2, .v6 = true, .options = timestamps(6, 6)}},
             "1 2"),
      second("IPv6: an option more", {.v6 = true, .options = {1, 1, 1, 1}}, "1 2 3"),
      merges("IPv6: consecutive",
             {{.n = 1, .v6 = true}, {.n = 2, .v6 = true}, {.n = 3, .v6 = true}}, kMergedV6),
      merges("IPv6: a short last segment",
             {{.n = 1, .v6 = true}, {.n = 2, .v6 = true}, {.n = 3, .payload = 1, .v6 = true}},
             kMergedV6),
  };
}

std::vector<Case> by_limits() {
  Packets flows;
  for (std::uint16_t flow = 0; flow < 9; ++flow)
    flows.push_back(
        {.n = 1, .payload = 100, .source_port = static_cast<std::uint16_t>(4000 + flow)});
  flows.push_back({.n = 1, .payload = 100, .seq_shift = 100, .id = 2});  // of the first
  Packets eight(flows.begin(), flows.begin() + 8);
  eight.push_back(flows.back());
  return {
      merges("44 segments fill 64 KiB", stream(45, 1460), numbers(1, 44) + ":tcp4/1460 45"),
      merges("a poll ends after 64 segments", stream(66, 100),
             numbers(1, 64) + ":tcp4/100 65+66:tcp4/100"),
      merges("eight flows are held", eight, "1+9:tcp4/100 2 3 4 5 6 7 8"),
      merges("a ninth flow pushes out the oldest", flows, "1 2 3 4 5 6 7 8 9 10"),
      {.row = 14,
       .name = "TCP: what cannot merge overtakes what is held",
       .setup = kGro,
       .steps = {together({tcp({.n = 1}), udp({.n = 1}), tcp({.n = 2})})},
       .expected = {{"b got", "2 1+3:tcp4/1000"}}},
      {.row = 14,
       .name = "TCP: nothing merges with GRO off",
       .setup = {.a = {.tso = false}},
       .steps = {from_a({tcp({.n = 1}), tcp({.n = 2})})},
       .expected = {{"b got", "1 2"}}},
  };
}

}  // namespace

std::vector<Case> gro_tcp_cases() {
  std::vector<Case> all;
  for (const auto& part : {by_tcp_header(), by_ip_header(), by_limits()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace vethd::parity

// Row 16: XDP programs: what they see, what becomes of their verdicts, what they ask of the other
// end. Those of the setup are configured; the others come and go while the pair runs.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

std::vector<Input> frames(unsigned first, unsigned count) {
  std::vector<Input> made;
  for (unsigned i = 0; i < count; ++i) made.push_back(ethernet({.bytes = 100, .seed = first + i}));
  return made;
}

const char* const kTen = "1 2 3 4 5 6 7 8 9 10";
const char* const kTenOf1300 = "1342 1342 1342 1342 1342 1342 1342 1342 1342 1342";

/// Ten frames of 100 bytes to a program at b.
Case ten_frames(const std::string& name, const std::string& a, const std::string& b,
                Values expected) {
  return {.row = 16,
          .name = name,
          .setup = {.a = {.xdp = a}, .b = {.xdp = b}},
          .steps = {from_a(frames(1, 10))},
          .expected = std::move(expected)};
}

/// Three frames whose tag stands beside them, as those of a VLAN device do.
Case tagged_frames(const std::string& name, const std::string& a, const std::string& b,
                   Values expected) {
  return {.row = 16,
          .name = name,
          .setup = {.a = {.xdp = a}, .b = {.xdp = b}},
          .steps = {host("ip netns exec red tc qdisc add dev parity0 clsact"),
                    host("ip netns exec red tc filter add dev parity0 egress bpf da obj " TAG_OBJECT
                         " sec tc"),
                    from_a(frames(1, 3))},
          .expected = std::move(expected)};
}

}  // namespace

std::vector<Case> xdp_cases() {
  Setup segments{.b = {.xdp = "pass_all"}, .addresses = true};
  Setup plain{.addresses = true};
  return {
      ten_frames("passed", "", "pass_all",
                 {{"b got", kTen},
                  {"a tx_packets", "10"},
                  {"b rx_bytes", "860"},
                  {"b ethtool rx_queue_0_xdp_packets", "10"},
                  {"b ethtool rx_queue_0_xdp_drops", "0"}}),
      ten_frames("dropped", "", "drop_all",
                 {{"b got", ""},
                  {"a tx_packets", "10"},
                  {"a tx_dropped", "0"},
                  {"b rx_packets", "10"},
                  {"b rx_dropped", "0"},
                  {"b ethtool rx_queue_0_xdp_drops", "10"}}),
      ten_frames("sent back to an end without a program", "", "tx_all",
                 {{"sent", "ok ok ok ok ok ok ok ok ok ok"},
                  {"a got", ""},
                  {"a rx_packets", "0"},
                  {"a rx_dropped", "10"},
                  {"b rx_packets", "10"},
                  {"b tx_packets", "0"},
                  {"b tx_dropped", "10"},
                  {"b ethtool rx_queue_0_xdp_tx", "0"},
                  {"b ethtool rx_queue_0_xdp_tx_errors", "10"}}),
      ten_frames("sent back to an end with a program", "pass_all", "tx_all",
                 {{"a got", kTen},
                  {"a rx_packets", "10"},
                  {"a rx_dropped", "0"},
                  {"b tx_packets", "10"},
                  {"b ethtool rx_queue_0_xdp_tx", "10"},
                  {"b ethtool rx_queue_0_xdp_tx_errors", "0"},
                  {"a ethtool rx_queue_0_xdp_packets", "10"}}),
      ten_frames("sent back to an end that drops", "drop_all", "tx_all",
                 {{"a got", ""},
                  {"a rx_packets", "10"},
                  {"b tx_packets", "10"},
                  {"a ethtool rx_queue_0_xdp_drops", "10"}}),
      tagged_frames("no tag is seen", "", "drop_tagged",
                    {{"b rx_packets", "3"}, {"b ethtool rx_queue_0_xdp_drops", "0"}}),
      tagged_frames("a tag is lost on the way back", "pass_all", "tx_100_bytes",
                    {{"a got", "1 2 3"}, {"b ethtool rx_queue_0_xdp_tx", "3"}}),
      {.row = 16,
       .name = "ten datagrams of one send to a program",
       .setup = segments,
       .steps = {listen(), datagram(13'000, 1300)},
       .expected = {{"sent", "ok"},
                    {"b udp", "1300 1300 1300 1300 1300 1300 1300 1300 1300 1300"},
                    {"b lengths", kTenOf1300},
                    {"a tx_packets", "10"}}},
      {.row = 16,
       .name = "ten datagrams of one send to a program of somebody else",
       .setup = plain,
       .steps = {listen(), attach_xdp(Side::b, "pass_all"), datagram(13'000, 1300)},
       .expected = {{"sent", "ok"}, {"b lengths", kTenOf1300}, {"a tx_packets", "10"}}},
      {.row = 16,
       .name = "one datagram of ten segments once the program has gone",
       .setup = plain,
       .steps = {listen(), attach_xdp(Side::b, "pass_all"), detach_xdp(Side::b),
                 datagram(13'000, 1300)},
       .expected = {{"sent", "ok"}, {"b lengths", "13042"}, {"a tx_packets", "1"}}},
      {.row = 16,
       .name = "polled while somebody's program is there",
       .steps = {from_a(frames(1, 2)), attach_xdp(Side::b, "pass_all"), from_a(frames(3, 3)),
                 detach_xdp(Side::b), from_a(frames(6, 5))},
       .expected = {{"b got", kTen},
                    {"b rx_packets", "10"},
                    {"b rx_bytes", "958"},
                    {"b ethtool rx_queue_0_xdp_packets", "3"},
                    {"b ethtool rx_queue_0_xdp_bytes", "258"}}},
  };
}

}  // namespace vethd::parity

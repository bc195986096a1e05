// Row 2: which lengths cross. The receiver's MTU + 18 decides; super-frames are exempt.
#include <linux/if_ether.h>

#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

// The sender's own stack must not be what refuses a long frame.
constexpr Setup kWideSender{.a = {.mtu = 9100}};

Case crosses(const std::string& what, const Setup& setup, const Input& input) {
  return {.row = 2,
          .name = what + " crosses",
          .setup = setup,
          .steps = {from_a({input})},
          .expected = {{"sent", "ok"}, {"b got", "1"}}};
}

/// The frame behind it arrives, so the first is not merely late. The sender's errno is compared
/// nowhere: a TAP has none to give (README.md).
Case dropped(const std::string& what, const Setup& setup, const Input& input) {
  return {.row = 2,
          .name = what + " is dropped",
          .setup = setup,
          .steps = {from_a({input, ethernet({.seed = 2})})},
          .expected = {{"b got", "2"}}};
}

/// From a bridge, which keeps the outer tag beside the frame.
Case crosses_bridged(const std::string& what, const Input& input) {
  return {.row = 2,
          .name = "from a bridge " + what + " crosses",
          .setup = kWideSender,
          .steps = {from_bridge({input})},
          .expected = {{"sent", "ok"}, {"b got", "1"}}};
}
Case dropped_bridged(const std::string& what, const Input& input) {
  return {.row = 2,
          .name = "from a bridge " + what + " is dropped",
          .setup = kWideSender,
          .steps = {from_bridge({input, ethernet({.seed = 2})})},
          .expected = {{"b got", "2"}}};
}
Input tagged(std::size_t bytes) { return ethernet({.bytes = bytes, .vlan = 5}); }
Input double_tagged(std::size_t bytes) {
  return ethernet({.bytes = bytes, .type = ETH_P_8021Q, .vlan = 5});
}

Input of(std::size_t bytes) { return ethernet({.bytes = bytes}); }

}  // namespace

std::vector<Case> length_cases() {
  const Setup wide_b{.b = {.mtu = 9100}};
  const Setup jumbo{.a = {.mtu = 9100}, .b = {.mtu = 9000}};
  const Setup small{.a = {.mtu = 9100}, .b = {.mtu = 68}};
  const auto mtu_of_b = [](unsigned mtu) {
    return host("ip -n blue link set parity1 mtu " + std::to_string(mtu));
  };
  const auto super = [](Input (*make)(const Packet&), bool v6) {
    return make({.payload = 10000, .v6 = v6, .checksum = Checksum::partial, .gso_size = 1000});
  };
  return {
      crosses("a frame of 15 bytes", {}, of(15)),
      crosses("a frame of 59 bytes, which nobody pads,", {}, of(59)),
      crosses("a frame of 60 bytes", {}, of(60)),
      crosses("a frame of 1514 bytes", {}, of(1514)),
      crosses("a frame of 1515 bytes", kWideSender, of(1515)),
      crosses("a frame of 1517 bytes", kWideSender, of(1517)),
      crosses("a frame of 1518 bytes", kWideSender, of(1518)),
      dropped("a frame of 1519 bytes", kWideSender, of(1519)),
      dropped("a frame of 1522 bytes", kWideSender, of(1522)),
      dropped("a frame of 9114 bytes at mtu 1500", kWideSender, of(9114)),
      crosses("a tagged frame of 1518 bytes", {}, ethernet({.bytes = 1518, .vlan = 5})),
      crosses_bridged("1522 bytes with a tag", tagged(1522)),
      dropped_bridged("1523 bytes with a tag", tagged(1523)),
      crosses_bridged("1522 bytes with two tags, a full packet,", double_tagged(1522)),
      dropped_bridged("1523 bytes with two tags", double_tagged(1523)),
      crosses("a frame of 86 bytes at mtu 68", small, of(86)),
      dropped("a frame of 87 bytes at mtu 68", small, of(87)),
      crosses("a frame of 9018 bytes at mtu 9000", jumbo, of(9018)),
      dropped("a frame of 9019 bytes at mtu 9000", jumbo, of(9019)),
      {.row = 2,
       .name = "b to a: 1518 bytes cross, 1519 do not",
       .setup = wide_b,
       .steps = {from_b({of(1519), of(1518)})},
       .expected = {{"a got", "2"}, {"b got", ""}}},
      {.row = 2,
       .name = "mtu lowered at run time",
       .setup = kWideSender,
       .steps = {from_a({of(1518)}), mtu_of_b(1400), from_a({of(1419), of(1418)})},
       .expected = {{"b got", "1 3"}}},
      {.row = 2,
       .name = "mtu raised at run time",
       .setup = kWideSender,
       .steps = {from_a({of(2018)}), mtu_of_b(2000),
                 from_a({of(2019), ethernet({.bytes = 2018, .seed = 2})})},
       .expected = {{"b got", "3"}}},
      {.row = 2,
       .name = "the mtu of the sender does not matter",
       .setup = {.a = {.mtu = 1500}, .b = {.mtu = 1000}},
       .steps = {from_a({of(1019), of(1018)})},
       .expected = {{"b got", "2"}}},
      {.row = 2,
       .name = "the sender's own stack refuses more than its mtu",
       .steps = {from_a({of(1514), of(1515), ethernet({.bytes = 1518, .vlan = 5}),
                         ethernet({.bytes = 1519, .vlan = 5})})},
       .expected = {{"sent", "ok EMSGSIZE ok EMSGSIZE"}, {"b got", "1 3"}}},
      {.row = 2,
       .name = "the sender's own stack refuses less than a header",
       .steps = {from_a({of(13), of(15)})},
       .expected = {{"sent", "EINVAL ok"}, {"b got", "2"}}},
      {.row = 2,
       .name = "a TCP/IPv4 super-frame is exempt",
       .steps = {from_a({super(tcp, false)})},
       .expected = {{"sent", "ok"}, {"b got", "1:tcp4/1000"}, {"b lengths", "10054"}}},
      {.row = 2,
       .name = "a TCP/IPv6 super-frame is exempt",
       .steps = {from_a({super(tcp, true)})},
       .expected = {{"sent", "ok"}, {"b got", "1:tcp6/1000"}, {"b lengths", "10074"}}},
      {.row = 2,
       .name = "a UDP/IPv4 super-frame is exempt",
       .steps = {from_a({super(udp, false)})},
       .expected = {{"sent", "ok"}, {"b got", "1:udp/1000"}, {"b lengths", "10042"}}},
      {.row = 2,
       .name = "a UDP/IPv6 super-frame is exempt",
       .steps = {from_a({super(udp, true)})},
       .expected = {{"sent", "ok"}, {"b got", "1:udp/1000"}, {"b lengths", "10062"}}},
      {.row = 2,
       .name = "b to a: a super-frame is exempt",
       .steps = {from_b({super(tcp, false)})},
       .expected = {{"sent", "ok"}, {"a got", "1:tcp4/1000"}}},
      {.row = 2,
       .name = "a super-frame of 64 KiB is exempt at mtu 68",
       .setup = {.b = {.mtu = 68}},
       .steps = {from_a(
           {tcp({.payload = 65000, .checksum = Checksum::partial, .gso_size = 1000})})},
       .expected = {{"sent", "ok"}, {"b got", "1:tcp4/1000"}, {"b lengths", "65054"}}},
      dropped("what claims to be a super-frame but fits one segment", kWideSender,
              tcp({.payload = 2000, .checksum = Checksum::partial, .gso_size = 3000})),
      {.row = 2,
       .name = "a UDP_SEGMENT send crosses whole",
       .setup = {.addresses = true},
       .steps = {listen(), datagram(5000, 1000)},
       .expected = {{"sent", "ok"}, {"b udp", "1000 1000 1000 1000 1000"}, {"b lengths", "5042"}},
       .elsewhere = {{"4.14", {{"b lengths", "1042 1042 1042 1042 1042"}}},
                     {"5.4", {{"b lengths", "1042 1042 1042 1042 1042"}}},
                     {"6.1", {{"b lengths", "5042"}}}}},
  };
}

}  // namespace vethd::parity

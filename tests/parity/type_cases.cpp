// Row 12: pkt_type and protocol, as the receiver's packet socket is told them.
#include "tests/parity/case.hpp"

namespace vethd::parity {

namespace {

Case addressed(const std::string& name, const char* to, const char* pkttype) {
  return {.row = 12,
          .name = name,
          .steps = {from_a({ethernet({.to = to})})},
          .expected = {{"b got", "1"}, {"b pkttype", pkttype}}};
}

Case typed(const std::string& name, const Ethernet& frame, const char* protocol) {
  return {.row = 12,
          .name = name,
          .steps = {from_a({ethernet(frame)})},
          .expected = {{"b got", "1"}, {"b protocol", protocol}}};
}

}  // namespace

std::vector<Case> type_cases() {
  return {
      addressed("to the receiver", kMacB, "host"),
      addressed("to another host", "02:00:00:00:00:99", "otherhost"),
      addressed("to the sender itself", kMacA, "otherhost"),
      addressed("to everybody", kBroadcast, "broadcast"),
      addressed("to an IPv4 group", "01:00:5e:00:00:01", "multicast"),
      addressed("to an IPv6 group", "33:33:00:00:00:01", "multicast"),
      {.row = 12,
       .name = "to an address that was the receiver's",
       .steps = {host("ip -n blue link set parity1 address 02:00:00:00:00:0c"),
                 from_a({ethernet({.to = kMacB}), ethernet({.to = "02:00:00:00:00:0c"})})},
       .expected = {{"b pkttype", "otherhost host"}}},
      typed("EtherType 0x88b5", {.type = 0x88b5}, "0x88b5"),
      typed("EtherType 0xffff", {.type = 0xffff}, "0xffff"),
      typed("EtherType 0x0600, the smallest", {.type = 0x0600}, "0x0600"),
      typed("a length of 0x05ff is 802.2", {.type = 0x05ff}, "0x0004"),
      typed("a length of 46 is 802.2", {.type = 46}, "0x0004"),
      typed("a length of 0 is 802.2", {.type = 0}, "0x0004"),
      typed("a length before 0xffff is raw IPX", {.type = 46, .raw_ipx = true}, "0x0001"),
      typed("0x05ff before 0xffff is raw IPX", {.type = 0x05ff, .raw_ipx = true}, "0x0001"),
      typed("0x0600 before 0xffff is an EtherType", {.type = 0x0600, .raw_ipx = true}, "0x0600"),
      typed("a length before a single 0xff is 802.2", {.bytes = 15, .type = 1, .raw_ipx = true},
            "0x0004"),
      typed("a tag is taken out", {.vlan = 5}, "0x88b5"),
      typed("a tag before a length", {.type = 42, .vlan = 5}, "0x0004"),
  };
}

}  // namespace vethd::parity

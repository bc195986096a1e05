// One case: what is set up, what is done, and what must be seen on veth and on vethd alike.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/system/lib/crafted.hpp"

namespace vethd::parity {

// The cases are written in the words of the system tests' frames.
using namespace system_test;  // NOLINT(google-build-using-namespace,google-global-names-in-headers)

class Bed;

enum class Side : std::uint8_t { a, b };  // red/parity0, blue/parity1

struct EndSetup {
  unsigned mtu = 1500;
  bool gro = false;  // as ethtool -K names them
  bool tso = true;
  bool rx_udp_gro_forwarding = false;
  std::string xdp = {};  // a program of tests/platform/xdp/programs.bpf.c on what it receives
};

struct Setup {
  EndSetup a = {};
  EndSetup b = {};
  bool addresses = false;  // kIpA and kIpB with permanent neighbours; otherwise no IP at all
};

/// A thing seen, by a name that Bed::observe() knows, and how it looked.
struct Value {
  std::string name;
  std::string text;
  friend bool operator==(const Value&, const Value&) = default;
};
using Values = std::vector<Value>;

using Step = std::function<void(Bed&)>;

/// What another kernel shows where it differs; its other values are as in `expected`.
struct Difference {
  std::string kernel;  // "5.4"
  Values expected;
};

struct Case {
  unsigned row;  // of the checklist in README.md
  std::string name;
  Setup setup = {};
  std::vector<Step> steps = {};
  Values expected;                         // by 6.18
  std::vector<Difference> elsewhere = {};  // run on vethd only: there is one kernel to compare with
  Values coalesced = {};                   // what vethd shows otherwise with coalesce = "always"
};

/// Each frame on its own, in its own system call: at most one is under way.
Step send(Side from, std::vector<Input> inputs);
inline Step from_a(std::vector<Input> inputs) { return send(Side::a, std::move(inputs)); }
inline Step from_b(std::vector<Input> inputs) { return send(Side::b, std::move(inputs)); }

/// As from_a(), but by way of a bridge in a's namespace, which a is a port of: the stack has taken
/// the outer VLAN tag out of the bytes and keeps it beside them.
Step from_bridge(std::vector<Input> inputs);

/// All frames meet in the same poll of b, which has GRO on (up to its weight of 64).
Step together(std::vector<Input> inputs);

/// ip and ethtool commands, after everything sent has been delivered.
Step host(std::string command);
/// `ip link set xdpdrv`: somebody attaches a program, or takes it off again.
Step attach_xdp(Side end, std::string program);
Step detach_xdp(Side end);
/// The end goes to another namespace, and is not up there.
Step move(Side end, std::string netns);

/// Waits until the end's link is shown so, as "a link" would be: the kernel tells a queue of its
/// lost carrier some time later.
Step until(Side end, std::string link);

/// Closes the test's sockets on this end's device: they keep a namespace alive, and count as
/// somebody who handles every EtherType.
Step leave(Side end);

/// A UDP socket of b's namespace at kPort, whose datagrams are seen as "b udp".
Step listen();
/// One UDP send from a's stack to kPort of b; not 0: with UDP_SEGMENT.
Step datagram(std::size_t bytes, std::uint16_t segment_bytes = 0);

std::vector<Case> link_cases();
std::vector<Case> length_cases();
std::vector<Case> counter_cases();
std::vector<Case> type_cases();
std::vector<Case> checksum_cases();
std::vector<Case> gro_tcp_cases();
std::vector<Case> gro_udp_cases();
std::vector<Case> xdp_cases();

}  // namespace vethd::parity

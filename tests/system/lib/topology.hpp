// What a test asks for: pairs of ends, the same description for kernel veth and for the daemon.
//
// An end of the daemon's is a TAP, or AF_XDP sockets on one side of a kernel veth whose other side
// stands where the TAP would, with its name and addresses:
//
//   red: veth0 (kernel) ===== veth0 :nic-veth0 = AF_XDP = vethd
//
// In a machine of tests/vm with NICs, two of which hear each other, they may stand in the veth's
// place:
//
//   red: eth0 ---- wire ---- eth1 :nic-eth0 = AF_XDP = vethd
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vethd::system_test {

struct End {
  std::string netns;  // as ip-netns(8) names it; empty: ours
  std::string ifname;
  std::vector<std::string> addresses = {};  // "192.168.1.1/24"
  unsigned mtu = 1500;
  unsigned queues = 1;
  std::vector<unsigned> rps_cpus = {};
  std::string mac = {};  // empty: the kernel's choice
  bool gro = false;      // as ethtool -K names them
  bool tso = true;
  bool rx_udp_gro_forwarding = false;
  std::string xdp_mode = {};  // not empty: AF_XDP sockets
  std::string xdp_keys = {};  // more keys of those, as they stand in the file
  std::string nic = {};       // not empty: they are on this NIC, and ifname is one on its wire
};

/// The namespace of an AF_XDP end's device, and its name there: that of the end, if it is a veth.
std::string nic_netns(const End& end);
std::string nic_ifname(const End& end);

struct Pair {
  std::string name;
  End a;
  End b;
  std::string softnet = {};   // machine; empty: the default one. Kernel veth has only one.
  std::string coalesce = {};  // as the file has it; empty: not at all. Kernel veth has none.
};

struct Topology {
  std::vector<Pair> pairs;
  std::string softnet = {};  // [softnet] tables, as they stand in the file
  unsigned workers = 2;
  bool create_netns = false;
  unsigned busy_poll_usecs = 0;
};

/// The daemon's configuration file.
std::string to_toml(const Topology& topology);

/// The same pairs as kernel veth; ready when it returns, gone with their namespaces.
void make_kernel_veth(const Topology& topology);

/// The veth of an AF_XDP end, in namespaces that exist; gone with them. Its far side sends what the
/// mode can take: in generic mode a super-frame would arrive without what describes it.
/// NICs of the machine are moved there instead, and are back when the namespaces are gone.
void make_nic(const End& end);
/// Both sides run; std::runtime_error when they do not soon.
void expect_nic_up(const End& end);

/// Of its device: "on", "off", as ethtool -k says it.
std::string vlan_stripping(const End& end);
/// ip -d link show
std::string nic_details(const End& end);
/// As make_nic() made it: no program, no promiscuity, tags taken out. Or it becomes that soon.
testing::AssertionResult is_untouched(const End& end);

/// red/veth0 192.168.1.1 fd00::1 and blue/veth1 192.168.1.2 fd00::2
Pair red_to_blue();

}  // namespace vethd::system_test

// What a test asks for: pairs of ends, the same description for kernel veth and for the daemon.
#pragma once

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
};

struct Pair {
  std::string name;
  End a;
  End b;
  std::string softnet = {};  // machine; empty: the default one. Kernel veth has only one.
  bool coalesce = true;      // "auto"; kernel veth has none
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

/// red/veth0 192.168.1.1 fd00::1 and blue/veth1 192.168.1.2 fd00::2
Pair red_to_blue();

}  // namespace vethd::system_test

#include "tests/system/lib/topology.hpp"

#include <sstream>
#include <stdexcept>

#include "tests/system/lib/hardware.hpp"
#include "tests/system/lib/netns.hpp"
#include "tests/system/lib/process.hpp"

namespace vethd::system_test {

namespace {

std::string quoted(const std::string& text) { return '"' + text + '"'; }

template <class Items, class Show>
std::string list(const Items& items, Show show) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + show(item);
  return "[" + text + "]";
}

void write_end(std::ostream& toml, const char* side, const End& end) {
  const bool tap = end.xdp_mode.empty();
  const std::string netns = tap ? end.netns : nic_netns(end);
  toml << "  [pair." << side << "]\n  ifname = " << quoted(tap ? end.ifname : nic_ifname(end))
       << '\n';
  if (!netns.empty()) toml << "  netns = " << quoted(netns) << '\n';
  if (tap) {
    if (!end.mac.empty()) toml << "  mac = " << quoted(end.mac) << '\n';
    if (!end.tso) toml << "  tso = false\n";
    toml << "  mtu = " << end.mtu << "\n  addresses = " << list(end.addresses, quoted) << '\n';
  } else {
    toml << "  driver = \"af_xdp\"\n  mode = " << quoted(end.xdp_mode) << '\n';
    if (!end.xdp_keys.empty()) toml << "  " << end.xdp_keys << '\n';
  }
  if (end.gro) toml << "  gro = true\n";
  if (end.rx_udp_gro_forwarding) toml << "  rx_udp_gro_forwarding = true\n";
  toml << "  queues = " << end.queues
       << "\n  rps_cpus = " << list(end.rps_cpus, [](unsigned cpu) { return std::to_string(cpu); })
       << '\n';
}

std::string creation(const End& end) {
  std::string text = end.ifname;
  if (!end.netns.empty()) text += " netns " + end.netns;
  if (!end.mac.empty()) text += " address " + end.mac;
  const std::string queues = std::to_string(end.queues);
  return text + " mtu " + std::to_string(end.mtu) + " numtxqueues " + queues + " numrxqueues " +
         queues;
}

std::string in(const End& end) { return end.netns.empty() ? "" : "-n " + end.netns + " "; }

/// queues/rx-N/rps_cpus is a mask in hex; sysfs shows the devices of the namespace that mounted it,
/// which is what "ip netns exec" does first.
void set_rps(const End& end) {
  unsigned mask = 0;
  for (const unsigned cpu : end.rps_cpus) mask |= 1U << cpu;
  if (mask == 0) return;
  std::ostringstream script;
  script << "for f in /sys/class/net/" << end.ifname << "/queues/rx-*/rps_cpus; do echo "
         << std::hex << mask << " > $f; done";
  const Finished done = run({"ip", "netns", "exec", end.netns, "sh", "-c", script.str()});
  if (done.exit_code != 0) throw std::runtime_error("set RPS: " + done.err);
}

void ethtool(const End& end, const std::string& features) {
  const Finished done =
      run(words("ethtool -K " + end.ifname + " " + features), {.netns = end.netns});
  if (done.exit_code != 0) throw std::runtime_error("ethtool -K " + features + ": " + done.err);
}

/// What differs from a fresh veth's features.
void set_features(const End& end) {
  std::string changes;
  if (end.gro) changes += " gro on";
  if (!end.tso) changes += " tso off";
  if (end.rx_udp_gro_forwarding) changes += " rx-udp-gro-forwarding on";
  if (!changes.empty()) ethtool(end, changes);
}

/// Addresses, and up.
void dress(const End& end) {
  for (const std::string& address : end.addresses) {
    const bool v6 = address.find(':') != std::string::npos;
    ip(in(end) + "address add " + address + " dev " + end.ifname + (v6 ? " nodad" : ""));
  }
  ip(in(end) + "link set " + end.ifname + " up");
}

void expect_up(const End& end) {
  const auto is_up = [&] { return link_of(end.netns, end.ifname).operstate == "UP"; };
  if (!wait_until(is_up, 10s, end.ifname)) throw std::runtime_error(end.ifname + " is not up");
}

}  // namespace

std::string to_toml(const Topology& topology) {
  std::ostringstream toml;
  toml << "[daemon]\nworkers = " << topology.workers
       << "\ncreate_netns = " << (topology.create_netns ? "true" : "false")
       << "\nbusy_poll_usecs = " << topology.busy_poll_usecs
       << "\ncontrol_socket = \"/run/vethd/vethd.sock\"\n\n"
       << topology.softnet << '\n';
  for (const Pair& pair : topology.pairs) {
    toml << "[[pair]]\nname = " << quoted(pair.name) << '\n';
    if (!pair.coalesce.empty()) toml << "coalesce = " << quoted(pair.coalesce) << '\n';
    if (!pair.softnet.empty()) toml << "softnet = " << quoted(pair.softnet) << '\n';
    write_end(toml, "a", pair.a);
    write_end(toml, "b", pair.b);
  }
  return toml.str();
}

std::string nic_netns(const End& end) { return "nic-" + end.ifname; }
std::string nic_ifname(const End& end) { return end.nic.empty() ? end.ifname : end.nic; }

void make_kernel_veth(const Topology& topology) {
  for (const Pair& pair : topology.pairs) {
    ip("link add " + creation(pair.a) + " type veth peer " + creation(pair.b));
    for (const End* end : {&pair.a, &pair.b}) {
      set_rps(*end);
      set_features(*end);
      dress(*end);
    }
    for (const End* end : {&pair.a, &pair.b}) expect_up(*end);
  }
}

void make_nic(const End& end) {
  const End nic{
      .netns = nic_netns(end), .ifname = nic_ifname(end), .mtu = end.mtu, .queues = end.queues};
  // Its own stack has nothing to say.
  set_sysctl(nic.netns, "net.ipv6.conf.default.disable_ipv6", "1");
  if (end.nic.empty()) {
    ip("link add " + creation(end) + " type veth peer " + creation(nic));
    if (!end.tso) ethtool(end, "tso off");
    if (end.xdp_mode == "generic") ethtool(end, "gso off tso off tx-udp-segmentation off");
  } else {
    for (const End* const taken : {&end, &nic}) {
      take_device(taken->ifname, taken->netns);
      set_channels(taken->netns, taken->ifname, end.queues);
      ip(in(*taken) + "link set " + taken->ifname + " mtu " + std::to_string(end.mtu));
    }
    // Or its filter keeps out the VLANs that its stack has no device for.
    ip(in(end) + "link set " + end.ifname + " promisc on");
  }
  dress(end);
  dress(nic);
}

void expect_nic_up(const End& end) {
  expect_up(end);
  expect_up({.netns = nic_netns(end), .ifname = nic_ifname(end)});
}

std::string vlan_stripping(const End& end) {
  const std::string all = run({"ethtool", "-k", nic_ifname(end)}, {.netns = nic_netns(end)}).out;
  const std::string name = "rx-vlan-offload: ";
  const std::size_t at = all.find(name);
  if (at == std::string::npos) return "unknown";
  return all.substr(at + name.size(), all.find('\n', at) - at - name.size());
}

std::string nic_details(const End& end) {
  return ip("-n " + nic_netns(end) + " -d link show dev " + nic_ifname(end));
}

testing::AssertionResult is_untouched(const End& end) {
  const auto clean = [&] {
    const std::string text = nic_details(end);
    return text.find("prog/xdp") == std::string::npos &&
           text.find(" promiscuity 0 ") != std::string::npos && vlan_stripping(end) == "on";
  };
  const auto became = wait_until(clean, 2s, "the device as it was");
  return became ? became
                : testing::AssertionFailure()
                      << became.message() << ": " << nic_details(end) << vlan_stripping(end);
}

Pair red_to_blue() {
  return {.name = "web",
          .a = {.netns = "red", .ifname = "veth0", .addresses = {"192.168.1.1/24", "fd00::1/64"}},
          .b = {.netns = "blue", .ifname = "veth1", .addresses = {"192.168.1.2/24", "fd00::2/64"}}};
}

}  // namespace vethd::system_test

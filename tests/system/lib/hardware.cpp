#include "tests/system/lib/hardware.hpp"

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/system/lib/process.hpp"

namespace vethd::system_test {

namespace json = boost::json;

namespace {

// Set by tests/vm: only there is what init has for the taking.
constexpr const char* kMonitorVariable = "VETHD_VM_MONITOR";

// boot.sh counts the NICs from 1, the kernel from 0.
unsigned place_of(const std::string& ifname) {
  return static_cast<unsigned>(std::stoul(ifname.substr(ifname.find_first_of("0123456789")))) + 1;
}

/// Of the NIC that boot.sh made in this place.
std::string mac_of(unsigned place) {
  char text[sizeof "52:54:00:00:00:01"];
  std::snprintf(text, sizeof text, "52:54:00:00:00:%02x", place);
  return text;
}

/// ip(8) in the machine's own namespace, that of its first process; names of other namespaces are
/// ours.
Finished ip_outside(const std::string& arguments) {
  return run(words("nsenter --net=/proc/1/ns/net ip " + arguments));
}

/// The name it has out there: after a hot-plug it may be another.
std::string name_outside(const std::string& mac) {
  const Finished done = ip_outside("-j link show");
  if (done.exit_code != 0) throw std::runtime_error("ip link show: " + done.err);
  const json::array links = json::parse(done.out).as_array();
  for (const json::value& link : links)
    if (link.at("address") == json::string(mac)) return link.at("ifname").as_string().c_str();
  return {};
}

void write_to(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file) throw std::runtime_error("write " + text + " to " + path);
}

}  // namespace

std::string missing_hardware() {
  if (std::getenv(kMonitorVariable) == nullptr) return "needs the NICs of tests/vm/zero_copy.sh";
  return {};
}

void take_device(const std::string& ifname, const std::string& netns) {
  const std::string mac = mac_of(place_of(ifname));
  std::string now;
  const auto is_there = [&] { return !(now = name_outside(mac)).empty(); };
  if (!wait_until(is_there, 10s, ifname)) throw std::runtime_error("the machine has no " + mac);
  const Finished down = ip_outside("link set " + now + " down");
  if (down.exit_code != 0) throw std::runtime_error(down.err);
  const Finished moved = ip_outside("link set " + now + " netns " + netns + " name " + ifname);
  if (moved.exit_code != 0) throw std::runtime_error("take " + ifname + ": " + moved.err);
}

void set_channels(const std::string& netns, const std::string& ifname, unsigned count) {
  // Says that nothing has changed with a status of its own, and a virtio of one queue has no more.
  run(words("ethtool -L " + ifname + " combined " + std::to_string(count)), {.netns = netns});
}

void plug_cable(const std::string& ifname, bool in) {
  // Behind an end of line: whatever the kernel sent to find out what port this is, is no command.
  write_to(std::getenv(kMonitorVariable), std::string("\n") + "set_link net" +
                                              std::to_string(place_of(ifname)) +
                                              (in ? " on\n" : " off\n"));
}

std::string slot_of(const std::string& netns, const std::string& ifname) {
  const std::string all = run({"ethtool", "-i", ifname}, {.netns = netns}).out;
  const std::string name = "bus-info: ";
  const std::size_t at = all.find(name);
  if (at == std::string::npos) throw std::runtime_error("ethtool -i " + ifname + ": " + all);
  return all.substr(at + name.size(), all.find('\n', at) - at - name.size());
}

void remove_device(const std::string& slot) {
  write_to("/sys/bus/pci/devices/" + slot + "/remove", "1");
}

void unbind_driver(const std::string& slot) {
  write_to("/sys/bus/pci/devices/" + slot + "/driver/unbind", slot);
}

void put_back(const std::string& slot) {
  if (std::filesystem::exists("/sys/bus/pci/devices/" + slot))
    write_to("/sys/bus/pci/drivers_probe", slot);
  else
    write_to("/sys/bus/pci/rescan", "1");
}

}  // namespace vethd::system_test

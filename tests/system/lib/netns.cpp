#include "tests/system/lib/netns.hpp"

#include <fcntl.h>
#include <sched.h>

#include <boost/json.hpp>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "tests/system/lib/process.hpp"

namespace vethd::system_test {

namespace json = boost::json;

namespace {

std::string in(const std::string& netns) { return netns.empty() ? "" : "-n " + netns + " "; }

}  // namespace

Fd open_netns(const std::string& name) {
  Fd fd{::open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.is_open()) throw std::system_error(errno, std::generic_category(), "open netns " + name);
  return fd;
}

Fd home_netns() {
  Fd fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  invariant(fd.is_open(), "a thread can open its own network namespace");
  return fd;
}

void enter_netns(const Fd& netns) {
  invariant(::setns(netns.get(), CLONE_NEWNET) == 0, "root can enter a network namespace");
}

Netns::Netns(std::string name) : name_(std::move(name)) {
  ip("netns add " + name_);
  ip("-n " + name_ + " link set lo up");
}

Netns::~Netns() {
  if (netns_exists(name_)) run({"ip", "netns", "del", name_});
}

bool netns_exists(const std::string& name) { return std::filesystem::exists("/run/netns/" + name); }

std::string ip(std::string_view arguments) {
  std::vector<std::string> argv = words(arguments);
  argv.insert(argv.begin(), "ip");
  const Finished done = run(std::move(argv));
  if (done.exit_code != 0) {
    throw std::runtime_error("ip " + std::string(arguments) + ": " + done.err);
  }
  return done.out;
}

void set_sysctl(const std::string& netns, const std::string& key, const std::string& value) {
  const Finished done = run({"sysctl", "-q", "-w", key + "=" + value}, {.netns = netns});
  if (done.exit_code != 0) throw std::runtime_error("sysctl " + key + ": " + done.err);
}

Link link_of(const std::string& netns, const std::string& ifname) {
  const Finished done = run(words("ip " + in(netns) + "-s -d -j link show dev " + ifname));
  if (done.exit_code != 0) return {};
  const json::object text = json::parse(done.out).as_array().at(0).as_object();
  Link link{.exists = true,
            .operstate = std::string(text.at("operstate").as_string()),
            .mac = std::string(text.at("address").as_string()),
            .qdisc = std::string(text.at("qdisc").as_string()),
            .mtu = text.at("mtu").to_number<unsigned>(),
            .ifindex = text.at("ifindex").to_number<unsigned>(),
            .tx_dropped = text.at("stats64").at("tx").at("dropped").to_number<std::uint64_t>(),
            .kind = {}};
  for (const json::value& flag : text.at("flags").as_array()) {
    if (flag == "UP") link.up = true;
    if (flag == "LOWER_UP") link.carrier = true;
  }
  if (const json::value* info = text.if_contains("linkinfo")) {
    link.kind = info->as_object().at("info_kind").as_string();
  }
  if (const json::value* xdp = text.if_contains("xdp")) {
    link.xdp_id = xdp->at("prog").at("id").to_number<std::uint64_t>();
  }
  return link;
}

void detach_xdp_by_force(const std::string& netns, const std::string& ifname) {
  const std::uint64_t program = link_of(netns, ifname).xdp_id;
  const json::value links = json::parse(run({"bpftool", "-j", "link", "show"}).out);
  for (const json::value& link : links.as_array()) {
    if (link.at("type") != "xdp" || link.at("prog_id") != program) continue;
    const auto id = std::to_string(link.at("id").to_number<std::uint64_t>());
    if (const Finished done = run({"bpftool", "link", "detach", "id", id}); done.exit_code != 0)
      throw std::runtime_error("bpftool link detach: " + done.err + done.out);
    return;
  }
  throw std::runtime_error("no BPF link at " + netns + "/" + ifname);
}

std::vector<std::string> taps_in(const std::string& netns) {
  std::vector<std::string> names;
  const Finished done = run(words("ip " + in(netns) + "-d -j link"));
  if (done.exit_code != 0) return names;
  const json::array links = json::parse(done.out).as_array();
  for (const json::value& link : links) {
    const json::value* info = link.as_object().if_contains("linkinfo");
    const json::value* kind =
        info != nullptr ? info->as_object().if_contains("info_kind") : nullptr;
    if (kind != nullptr && *kind == "tun") names.emplace_back(link.at("ifname").as_string());
  }
  return names;
}

}  // namespace vethd::system_test

#include "config/validate.hpp"

#include <sched.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "config/limits.hpp"

namespace vethd::config {

namespace {

void resolve_host(Daemon& daemon, const Host& host) {
  if (daemon.workers == 0) {
    const auto online = static_cast<std::uint32_t>(host.online_cpus.size());
    daemon.workers = std::clamp(online, 1U, kMaxWorkers);
  }
  if (daemon.written.find("memory") == nullptr) {
    daemon.memory_bytes = std::max(daemon.memory_bytes, minimum_memory_bytes(daemon.workers));
  }
}

void check_daemon(const Daemon& daemon, const Host& host, Diagnostics& out) {
  const Written& written = daemon.written;
  const bool affinity = written.find("cpu_affinity") != nullptr && !written.refused("cpu_affinity");
  if (affinity && daemon.cpu_affinity.size() != daemon.workers && !written.refused("workers")) {
    out.add(written.at("cpu_affinity"),
            fmt::format("cpu_affinity lists {} CPUs for {} workers", daemon.cpu_affinity.size(),
                        daemon.workers),
            "list one CPU per worker, or leave it out");
  }
  for (const std::uint32_t cpu : daemon.cpu_affinity) {
    if (std::ranges::binary_search(host.online_cpus, cpu)) continue;
    out.add(written.at("cpu_affinity"), fmt::format("CPU {} is not there", cpu),
            fmt::format("this process may use {}", fmt::join(host.online_cpus, ", ")));
  }
  const std::uint64_t least = minimum_memory_bytes(daemon.workers);
  if (daemon.memory_bytes < least && !written.refused("memory") && !written.refused("workers")) {
    out.add(
        written.at("memory"),
        fmt::format("memory is too small for the landing buffers of {} workers", daemon.workers),
        fmt::format("write at least \"{}MiB\"", least >> 20));
  }
}

/// What two interfaces must not share. A name and its path below /run/netns are one namespace.
std::string place_of(const End& end) {
  constexpr std::array<std::string_view, 2> kNamed = {"/run/netns/", "/var/run/netns/"};
  std::string netns = end.netns.label();
  if (end.netns.kind == NetnsRef::Kind::own) netns.clear();
  for (const std::string_view folder : kNamed) {
    if (netns.starts_with(folder)) netns.erase(0, folder.size());
  }
  return netns + "//" + end.ifname;  // an ifname holds no slash: the last two divide
}

void check_end(const End& end, const Daemon& daemon, Diagnostics& out) {
  for (const Address& address : end.addresses) {
    if (address.family != AF_INET6 || end.mtu >= kMinIpv6Mtu) continue;
    out.add(address.where, fmt::format("an IPv6 address with mtu = {}", end.mtu),
            fmt::format("raise mtu to {} at least: below, the kernel turns IPv6 off (EINVAL)",
                        kMinIpv6Mtu),
            Note{end.written.at("mtu"), "mtu is here"});
  }
  if (daemon.written.refused("workers")) return;
  for (const CpuId cpu : end.rps_cpus) {
    if (cpu.value < daemon.workers) continue;
    out.add(end.written.at("rps_cpus"),
            fmt::format("rps_cpus names emulated CPU {} of {} workers", cpu.value, daemon.workers),
            fmt::format("write CPUs from 0 to {}", daemon.workers - 1));
  }
}

class Uniqueness {
 public:
  explicit Uniqueness(Diagnostics& out) : out_(out) {}

  void pair(const Pair& pair) {
    if (pair.name.empty()) return;
    const Location here = pair.written.at("name");
    if (const auto [first, fresh] = names_.try_emplace(pair.name, here); !fresh) {
      out_.add(here, fmt::format("two pairs are named {}", quote(pair.name)),
               "give each its own name", Note{first->second, "the first is here"});
    }
  }

  void end(const End& end) {
    if (end.ifname.empty() || end.written.refused("netns")) return;
    const Location here = end.written.at("ifname");
    if (const auto [first, fresh] = places_.try_emplace(place_of(end), here); !fresh) {
      out_.add(here,
               fmt::format("two ends named {} in one namespace ({})", quote(end.ifname),
                           end.netns.label()),
               "change ifname or netns of one", Note{first->second, "the first is here"});
    }
  }

 private:
  Diagnostics& out_;
  std::map<std::string, Location> names_;
  std::map<std::string, Location> places_;
};

void check_macs(const Pair& pair, Diagnostics& out) {
  if (!pair.a.mac || pair.a.mac != pair.b.mac) return;
  out.add(pair.b.written.at("mac"), fmt::format("both ends have the MAC {}", pair.b.mac->text()),
          "change one: a host drops frames that seem to come from itself",
          Note{pair.a.written.at("mac"), "end a has it here"});
}

}  // namespace

Result<Host> this_host() {
  std::array<cpu_set_t, (kMaxCpu + 1) / CPU_SETSIZE> set{};
  if (::sched_getaffinity(0, sizeof set, set.data()) < 0) return fail("ask which CPUs may be used");
  Host host;
  for (std::uint32_t cpu = 0; cpu <= kMaxCpu; ++cpu) {
    if (CPU_ISSET_S(cpu, sizeof set, set.data())) host.online_cpus.push_back(cpu);
  }
  return host;
}

void validate(Config& config, const Host& host, Diagnostics& out) {
  resolve_host(config.daemon, host);
  check_daemon(config.daemon, host, out);
  Uniqueness unique(out);
  for (const Pair& pair : config.pairs) {
    unique.pair(pair);
    unique.end(pair.a);
    unique.end(pair.b);
    check_macs(pair, out);
    check_end(pair.a, config.daemon, out);
    check_end(pair.b, config.daemon, out);
  }
}

}  // namespace vethd::config

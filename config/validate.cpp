#include "config/validate.hpp"

#include <sched.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/af_xdp.hpp"
#include "config/kernel.hpp"
#include "config/limits.hpp"

namespace vethd::config {

namespace {

void resolve_workers(Daemon& daemon, const Host& host) {
  if (daemon.workers != 0) return;
  const auto online = static_cast<std::uint32_t>(host.online_cpus.size());
  daemon.workers = std::clamp(online, 1U, kMaxWorkers);
}

constexpr std::uint64_t mib_up(std::uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

/// Left out, memory grows with what is needed; written, it must be enough.
void check_memory(Daemon& daemon, std::uint64_t af_xdp_chunks, Diagnostics& out) {
  const Written& written = daemon.written;
  if (written.refused("memory") || written.refused("workers")) return;
  const std::uint64_t least = minimum_memory_bytes(daemon.workers, af_xdp_chunks);
  if (written.find("memory") == nullptr && least <= kMaxMemoryBytes) {
    daemon.memory_bytes = std::max(daemon.memory_bytes, mib_up(least) << 20);
  }
  if (daemon.memory_bytes >= least) return;
  if (daemon.memory_bytes < minimum_memory_bytes(daemon.workers) || af_xdp_chunks == 0) {
    out.add(
        written.at("memory"),
        fmt::format("memory is too small for the landing buffers of {} workers", daemon.workers),
        fmt::format("write at least \"{}MiB\"", mib_up(least)));
    return;
  }
  constexpr std::string_view kLess = "make fill_ring, tx_ring or netdev_max_backlog smaller";
  out.add(written.at("memory"),
          fmt::format("memory is too small for AF_XDP ends whose rings and backlogs take {} chunks "
                      "of 4KiB on one of {} workers",
                      af_xdp_chunks, daemon.workers),
          least > kMaxMemoryBytes
              ? fmt::format("{}: each worker has the same share, and \"{}GiB\" is the most", kLess,
                            kMaxMemoryBytes >> 30)
              : fmt::format("write at least \"{}MiB\", each worker has the same share, or {}",
                            mib_up(least), kLess));
}

/// The arena is taken page by page as frames come, AF_XDP ends take all of it at the start; either
/// way the kernel kills a process that gets more than it may have, and says nothing to it.
void check_memory_limit(Daemon& daemon, const MemoryLimit& limit, std::uint64_t af_xdp_chunks,
                        Diagnostics& out) {
  const Written& written = daemon.written;
  if (limit.bytes == 0 || written.refused("memory") || written.refused("workers")) return;
  const std::uint64_t room = limit.bytes > kOwnMemory ? limit.bytes - kOwnMemory : 0;
  const std::uint64_t least = minimum_memory_bytes(daemon.workers, af_xdp_chunks);
  if (written.find("memory") == nullptr && daemon.memory_bytes > room)
    daemon.memory_bytes = std::max(mib_up(least) << 20, room >> 20 << 20);
  if (daemon.memory_bytes <= room) return;
  const std::string remedy =
      least <= room ? fmt::format("write at most \"{}MiB\"", room >> 20)
                    : fmt::format("{} workers{} need \"{}MiB\": write fewer workers{}",
                                  daemon.workers, af_xdp_chunks > 0 ? " with AF_XDP ends" : "",
                                  mib_up(least), af_xdp_chunks > 0 ? " or smaller rings" : "");
  out.add(written.at("memory"),
          fmt::format("memory is {} MiB, and {} MiB beside it for vethd itself, but {} is {} MiB",
                      daemon.memory_bytes >> 20, kOwnMemory >> 20, limit.who, limit.bytes >> 20),
          remedy + (limit.can_be_raised ? ", or raise that limit" : ""));
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
}

void check_cpus(const std::vector<CpuId>& cpus, std::string_view key, const Written& written,
                const Daemon& daemon, Diagnostics& out) {
  if (daemon.written.refused("workers")) return;
  for (const CpuId cpu : cpus) {
    if (cpu.value < daemon.workers) continue;
    out.add(written.at(key),
            fmt::format("{} names emulated CPU {} of {} workers", key, cpu.value, daemon.workers),
            fmt::format("write CPUs from 0 to {}", daemon.workers - 1));
  }
}

/// Keys that a machine has from [softnet] are complained about there.
void check_machine(const Softnet& machine, const Daemon& daemon, Diagnostics& out) {
  const Written& written = machine.written;
  if (written.find("flow_limit_cpu_bitmap") != nullptr) {
    check_cpus(machine.flow_limit_cpu_bitmap, "flow_limit_cpu_bitmap", written, daemon, out);
  }
}

/// The one rule that depends on other keys: a machine may have any of the three from [softnet].
void check_budget(const Softnet& machine, const Softnet& standard, Diagnostics& out) {
  constexpr std::array<std::string_view, 3> kKeys = {"netdev_budget_usecs", "kernel", "hz"};
  const Written& written = machine.written;
  const auto given = [&](auto key) { return written.find(key) != nullptr; };
  const auto bad = [&](auto key) { return written.refused(key) || standard.written.refused(key); };
  if (std::ranges::none_of(kKeys, given) || std::ranges::any_of(kKeys, bad)) return;
  const auto least = least_budget_usecs(machine.kernel, machine.hz);
  if (machine.netdev_budget_usecs >= least) return;
  std::optional<Note> note;
  if (!given(kKeys[0])) {
    note = Note{standard.written.at(kKeys[0]), "netdev_budget_usecs is here"};
  }
  out.add(written.at(kKeys[0]),
          fmt::format("netdev_budget_usecs = {} in a machine of kernel {} with hz = {}",
                      machine.netdev_budget_usecs.count(), name_of(machine.kernel), machine.hz),
          fmt::format("write at least {}: below two jiffies a 6.x kernel answers EINVAL",
                      least.count()),
          std::move(note));
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
  for (const auto& cpus : end.rps_cpus) check_cpus(cpus, "rps_cpus", end.written, daemon, out);
  if (const std::size_t lists = end.rps_cpus.size(); lists > 1 && lists != end.queues)
    out.add(end.written.at("rps_cpus"),
            fmt::format("rps_cpus has {} lists for {} queues", lists, end.queues),
            "write a list for each queue, or one for all");
  if (std::uint64_t{end.rps_flow_cnt} * end.queues > kMaxFlowEntries)
    out.add(end.written.at("rps_flow_cnt"),
            fmt::format("rps_flow_cnt = {} for each of {} queues", end.rps_flow_cnt, end.queues),
            fmt::format("write no more than {} for all of them together", kMaxFlowEntries));
}

/// What the ends of a pair want and the kernel of its machine cannot do.
class KernelRules {
 public:
  KernelRules(const Pair& pair, const Config& config, const Host& host, Diagnostics& out)
      : pair_(pair),
        machine_(config.machines[pair.machine.value]),
        standard_(config.machines.front()),
        host_(host),
        out_(out) {}

  void check() {
    if (kernel_is_unknown()) return;
    for (const End* end : {&pair_.a, &pair_.b}) {
      if (end->gro) check_gro(*end, "gro");
      if (end->gro && end->xdp) refuse_gro_with_xdp(*end);
      if (end->rx_udp_gro_forwarding) check_gro(*end, "rx_udp_gro_forwarding");
    }
    if (pair_.a.xdp) check_xdp(pair_.a, *pair_.a.xdp, pair_.b);
    if (pair_.b.xdp) check_xdp(pair_.b, *pair_.b.xdp, pair_.a);
  }

 private:
  [[nodiscard]] bool kernel_is_unknown() const {
    return pair_.written.refused("kernel") || pair_.written.refused("softnet") ||
           machine_.written.refused("kernel") || standard_.written.refused("kernel");
  }

  [[nodiscard]] std::optional<Note> kernel_note() const {
    for (const Written* written : {&pair_.written, &machine_.written, &standard_.written}) {
      if (written->find("kernel") != nullptr) return Note{written->at("kernel"), "kernel is here"};
    }
    return std::nullopt;
  }

  void check_gro(const End& end, std::string_view key) {
    if (machine_.kernel >= KernelVersion::v6_1) return;
    const Location here = end.written.at(key);
    // What the pair says for both ends is wrong once.
    if (&end == &pair_.b && pair_.a.written.find(key) != nullptr &&
        pair_.a.written.at(key) == here) {
      return;
    }
    out_.add(here, fmt::format("{} = true on kernel {}", key, name_of(machine_.kernel)),
             "write false, or take kernel 6.1 or later: before about 5.13 veth has no NAPI without "
             "XDP, and without NAPI nothing merges",
             kernel_note());
  }

  void refuse_gro_with_xdp(const End& end) {
    out_.add(end.xdp->where, "xdp at an end with gro = true",
             "write one of them: a program sees frames as they were sent, so they cannot be merged "
             "before it, and a TAP does not merge behind it",
             Note{(end.written.find("gro") != nullptr ? end.written : pair_.written).at("gro"),
                  "gro is here"});
  }

  /// Emulates  drivers/net/veth.c: veth_xdp_set(), its refusals.
  void check_xdp(const End& end, const Xdp& xdp, const End& peer) {
    const bool frags = takes_frags(xdp);  // says what is wrong with the object, too
    // Without ndo_bpf the stack runs it, and asks nothing of the other end.
    if (machine_.kernel < KernelVersion::v5_4) return;
    const bool many_pages = frags && machine_.kernel >= KernelVersion::v6_1;
    const std::uint32_t max_mtu = many_pages ? kMaxXdpFragsMtu : kMaxXdpMtu;
    if (peer.mtu > max_mtu && !peer.written.refused("mtu")) {
      out_.add(xdp.where, fmt::format("xdp while the peer has mtu = {}", peer.mtu),
               fmt::format("lower the peer's mtu to {}: one page must hold its frames{} (ERANGE)",
                           max_mtu,
                           machine_.kernel >= KernelVersion::v6_1
                               ? ", unless the program takes fragments (SEC \"xdp.frags\")"
                               : ""),
               Note{peer.written.at("mtu"), "its mtu is here"});
    }
    if (end.queues < peer.queues && !end.written.refused("queues")) {
      out_.add(xdp.where,
               fmt::format("xdp with queues = {} while the peer has {}", end.queues, peer.queues),
               "give this end as many: each queue of the sender needs its own here (ENOSPC)",
               Note{peer.written.at("queues"), "the peer's are here"});
    }
  }

  bool takes_frags(const Xdp& xdp) {
    if (!host_.inspect_xdp || xdp.object.empty() || xdp.program.empty()) return false;
    const auto program = host_.inspect_xdp(xdp.object, xdp.program);
    if (program) return program->frags;
    const Error& error = program.error();
    out_.add(xdp.where, Error{.code = error.code, .doing = error.doing, .hint = {}}.text(),
             error.hint);
    return false;
  }

  const Pair& pair_;
  const Softnet& machine_;
  const Softnet& standard_;
  const Host& host_;
  Diagnostics& out_;
};

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
  host.memory = memory_limit();
  for (std::uint32_t cpu = 0; cpu <= kMaxCpu; ++cpu) {
    if (CPU_ISSET_S(cpu, sizeof set, set.data())) host.online_cpus.push_back(cpu);
  }
  return host;
}

void validate(Config& config, const Host& host, Diagnostics& out) {
  resolve_workers(config.daemon, host);
  check_daemon(config.daemon, host, out);
  const std::uint64_t af_xdp_chunks = chunks_for_af_xdp(config);
  check_memory(config.daemon, af_xdp_chunks, out);
  check_memory_limit(config.daemon, host.memory, af_xdp_chunks, out);
  for (const Softnet& machine : config.machines) {
    check_machine(machine, config.daemon, out);
    check_budget(machine, config.machines.front(), out);
  }
  Uniqueness unique(out);
  for (const Pair& pair : config.pairs) {
    unique.pair(pair);
    unique.end(pair.a);
    unique.end(pair.b);
    check_drivers(pair, out);
    check_macs(pair, out);
    check_end(pair.a, config.daemon, out);
    check_end(pair.b, config.daemon, out);
    KernelRules(pair, config, host, out).check();
  }
}

}  // namespace vethd::config

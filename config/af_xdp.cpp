#include "config/af_xdp.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/keys.hpp"

namespace vethd::config {

namespace {

struct Remedy {
  std::string_view key;
  std::string_view words;
};

constexpr std::array kInsteadOfTapKeys = {
    Remedy{"mac",
           "leave it out: the device keeps its own; steer = { mac = ... } takes the frames of "
           "another"},
    Remedy{"mtu",
           "leave it out and run `ip link set dev IFNAME mtu N`: vethd takes what the device has"},
    Remedy{"addresses",
           "give them to the other end: frames that arrive here go there, not to the stack behind "
           "this device"},
    Remedy{"txqueuelen", "write tx_ring: frames wait in a ring of the socket, not of a TAP"},
    Remedy{"tso",
           "leave it out: no stack sends frames into this end; what leaves through the device is "
           "segmented before, whatever the other end sent"},
};

std::string_view instead_of(std::string_view key) {
  const auto* found = std::ranges::find(kInsteadOfTapKeys, key, &Remedy::key);
  return found == kInsteadOfTapKeys.end() ? "leave it out" : found->words;
}

std::optional<Note> note_of(const Written& written, std::string_view key) {
  if (written.find(key) == nullptr) return std::nullopt;
  return Note{written.at(key), fmt::format("{} is here", key)};
}

void check_keys(const End& end, Diagnostics& out) {
  for (const Written::Key& key : end.written.keys) {
    const auto driver = driver_of_end_key(key.name);
    if (!driver || *driver == end.driver) continue;
    if (*driver == Driver::tap) {
      out.add(key.where, fmt::format("{} at an AF_XDP end", key.name),
              std::string(instead_of(key.name)), note_of(end.written, "driver"));
    } else {
      out.add(key.where, fmt::format("{} at a TAP", key.name),
              "leave it out, or write driver = \"af_xdp\" for a device that exists",
              note_of(end.written, "driver"));
    }
  }
  if (end.xdp && end.driver == Driver::af_xdp) {
    out.add(end.xdp->where, "xdp at an AF_XDP end",
            "put it at the other end, which receives what arrives here: the hook of this device "
            "holds vethd's own program",
            note_of(end.written, "driver"));
  }
}

/// Says which of two rings is too small for the other.
void check_ring(const End& end, std::string_view key, std::uint32_t entries, std::string_view other,
                std::uint32_t least, std::string_view why, Diagnostics& out) {
  if (entries >= least || end.written.refused(key) || end.written.refused(other)) return;
  out.add(end.written.find(key) != nullptr ? end.written.at(key) : end.written.at(other),
          fmt::format("{} = {} with {} = {}", key, entries, other, least),
          fmt::format("write {} = {} at least: {}", key, least, why));
}

void check_rings(const End& end, Diagnostics& out) {
  const AfXdp& wanted = end.af_xdp;
  check_ring(end, "fill_ring", wanted.fill_ring, "rx_ring", wanted.rx_ring,
             "no more chunks are lent than it holds, and those in the rx ring are among them", out);
  check_ring(end, "completion_ring", wanted.completion_ring, "tx_ring", wanted.tx_ring,
             "the kernel sends nothing that it has no room to give back", out);
}

bool has_refused(const End& end) {
  constexpr std::array<std::string_view, 4> kCounted = {"driver", "queues", "fill_ring", "tx_ring"};
  return std::ranges::any_of(kCounted, [&](auto key) { return end.written.refused(key); });
}

}  // namespace

void check_drivers(const Pair& pair, Diagnostics& out) {
  for (const End* end : {&pair.a, &pair.b}) {
    if (end->written.refused("driver")) continue;
    check_keys(*end, out);
    if (end->driver == Driver::af_xdp) check_rings(*end, out);
  }
  const bool no_tap = pair.a.driver == Driver::af_xdp && pair.b.driver == Driver::af_xdp;
  if (no_tap && pair.written.find("tso") != nullptr) {
    out.add(pair.written.at("tso"), "tso of a pair of AF_XDP ends", std::string(instead_of("tso")));
  }
}

std::uint64_t chunks_for_af_xdp(const Config& config) {
  const std::uint32_t workers = config.daemon.workers;
  std::vector<std::uint64_t> lent(workers);
  std::set<std::pair<std::uint32_t, std::uint32_t>> backlogs;  // machine, worker
  for (std::uint32_t index = 0; index < config.pairs.size(); ++index) {
    const Pair& pair = config.pairs[index];
    for (const End* end : {&pair.a, &pair.b}) {
      if (has_refused(*end)) return 0;
      if (end->driver != Driver::af_xdp) continue;
      // As control deals queues out: queue i of both ends belongs to worker (index + i) mod
      // workers.
      for (std::uint32_t queue = 0; queue < end->queues; ++queue) {
        const std::uint32_t worker = (index + queue) % workers;
        lent[worker] += end->af_xdp.fill_ring + end->af_xdp.tx_ring;
        backlogs.emplace(pair.machine.value, worker);
      }
    }
  }
  for (const auto& [id, worker] : backlogs) {
    const Softnet& machine = config.machines[id];
    for (const Softnet* said : {&machine, &config.machines.front()}) {
      if (said->written.refused("netdev_max_backlog")) return 0;
    }
    lent[worker] += static_cast<std::uint64_t>(machine.netdev_max_backlog) + 1;
  }
  return lent.empty() ? 0 : std::ranges::max(lent);
}

}  // namespace vethd::config

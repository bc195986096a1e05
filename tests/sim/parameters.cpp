#include "tests/sim/parameters.hpp"

#include <fmt/core.h>

namespace vethd::sim {
namespace {

std::vector<CpuId> draw_rps_cpus(Random& random, std::uint32_t workers) {
  std::vector<CpuId> cpus;
  if (random.percent(30)) return cpus;
  for (std::uint32_t cpu = 0; cpu < workers; ++cpu)
    if (random.percent(60)) cpus.push_back({cpu});
  return cpus;
}

std::vector<std::vector<CpuId>> draw_rps_maps(Random& random, std::uint32_t workers,
                                              std::uint32_t queues) {
  std::vector<std::vector<CpuId>> maps(random.percent(50) ? 1 : queues);
  for (auto& map : maps) map = draw_rps_cpus(random, workers);
  if (maps.size() == 1 && maps[0].empty()) maps.clear();
  return maps;
}

/// A kernel that never was: each rule that of any. No stage knows versions, so whatever
/// comes together must hold; some ends are only met so, as a ring that fills up under ksoftirqd
/// while a qdisc is stopped.
Rules draw_mixed_rules(Random& random) {
  const auto any = [&]() -> const Rules& { return *kAllRules[random.below(kAllRules.size())]; };
  Rules rules = any();
  rules.kernel = "mixed";
  rules.napi = Rules::Napi::if_eligible;
  rules.tx_stops_on_full_ring = any().tx_stops_on_full_ring;
  rules.flushes_after_drop = any().flushes_after_drop;
  rules.scrubs_as_xnet = any().scrubs_as_xnet;
  rules.scrub_orphans = any().scrub_orphans;
  rules.multicast_before_address = any().multicast_before_address;
  rules.ports_ordered_with_addresses = any().ports_ordered_with_addresses;
  rules.hashes_flow_slots = any().hashes_flow_slots;
  rules.not_running = any().not_running;
  rules.polls_refilled_list = any().polls_refilled_list;
  rules.ksoftirqd_takes_over = any().ksoftirqd_takes_over;
  rules.gro = random.percent(50) ? kGro61 : kGro618;  // 5.4's loses IPv4 ids of datagrams
  return rules;
}

Rules draw_rules(Random& random) {
  if (random.percent(30)) return kRules618;
  if (random.percent(30)) return draw_mixed_rules(random);
  return *kAllRules[random.below(kAllRules.size())];
}

/// Makes receive queues fill up faster than they are polled: bursts that find memory, several
/// queues on one CPU, each softirq cut short, and a ksoftirqd that keeps others from polling.
void put_under_pressure(Random& random, Parameters& drawn) {
  drawn.workers = 1 + random.below(2);
  drawn.chunks_per_worker = 1200;
  drawn.slow_percent = 60;
  drawn.send_percent = 100;
  drawn.burst_packets = 300;
  drawn.stall_percent = 0;
  drawn.change_percent = random.one_of({20U, 50U});
  drawn.troubles.reads_per_wait = 64;
  drawn.troubles.landing_limit = kLandingBuffers;
  for (auto& machine : drawn.machines) {
    machine.rules = kRules61;
    if (random.percent(60)) {
      machine.rules = draw_mixed_rules(random);
      machine.rules.tx_stops_on_full_ring = true;
    }
    machine.rules.ksoftirqd_takes_over = true;
    machine.sysctls.netdev_budget = 1;
    machine.inline_arrival = false;
  }
  for (auto& pair : drawn.pairs) {
    pair.machine = 0;
    for (int side = 0; side < 2; ++side) {
      Device& end = pair.ends[side];
      end.running = true;
      end.gro = true;
      end.tso = random.percent(20);
      end.has_qdisc = random.percent(70);
      end.rps_cpus = {};
      if (random.percent(50))
        end.rps_cpus = draw_rps_maps(random, drawn.workers, pair.queues[side]);
    }
  }
}

}  // namespace

Parameters Parameters::draw(std::uint64_t seed, std::uint32_t steps) {
  Random random(seed);
  Parameters drawn;
  drawn.seed = seed;
  drawn.steps = steps;
  drawn.workers = 1 + random.below(4);
  drawn.chunks_per_worker = random.one_of({1U, 16U, 64U, 64U, 128U, 400U});
  drawn.machines.resize(1 + random.below(3));
  for (auto& machine : drawn.machines) {
    machine.sysctls.netdev_max_backlog = random.one_of({0, 1, 10, 64, 200, 1000});
    machine.sysctls.netdev_budget = random.one_of({1, 64, 300});
    machine.sysctls.dev_weight = random.one_of({1, 8, 64, 64});
    machine.inline_arrival = random.percent(30);
    machine.rules = draw_rules(random);
    machine.hz = random.one_of({100U, 250U, 1000U});
    machine.sysctls.rps_sock_flow_entries = random.one_of({0U, 0U, 1U, 64U});
    machine.sysctls.flow_limit_cpu_bitmap = draw_rps_cpus(random, drawn.workers);
    machine.sysctls.flow_limit_table_len = random.one_of({1U, 8U, 4096U});
  }
  drawn.pairs.resize(1 + random.below(4));
  for (auto& pair : drawn.pairs) {
    pair.machine = random.below(static_cast<std::uint32_t>(drawn.machines.size()));
    for (int side = 0; side < 2; ++side) {
      Device& end = pair.ends[side];
      end.ifindex = static_cast<std::uint32_t>(side) + 1;
      end.netns = random.below(2);
      end.mtu = random.one_of({kSmallMtu, kLargeMtu, kLargeMtu});
      end.running = random.percent(90);
      end.dev_addr = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(side + 1)}};
      end.rps_flow_cnt = random.one_of({0U, 0U, 0U, 1U, 16U});
      end.gro = random.percent(50);
      end.tso = random.percent(50);
      end.rx_udp_gro_forwarding = random.percent(30);
      end.has_xdp = random.percent(20);
      end.has_qdisc = random.percent(50);
      end.coalesce =
          random.one_of({Merge::none, Merge::tcp, Merge::tcp_and_udp, Merge::tcp_and_udp});
      end.takes_merged = random.percent(80) ? Merge::tcp_and_udp : Merge::tcp;
      end.mark = random.below(2);
      end.priority = random.below(2);
      end.classid = random.below(2);
      pair.queues[side] = 1 + random.below(3);
      end.rps_cpus = draw_rps_maps(random, drawn.workers, pair.queues[side]);
      end.real_num_rx_queues = static_cast<std::uint16_t>(pair.queues[side]);
      pair.owner_only[side] = random.percent(25);
      end.plain_frames = pair.owner_only[side] && random.percent(70);
    }
  }
  drawn.troubles.completion_percent = random.one_of({100U, 50U, 10U});
  drawn.troubles.write_error_percent = random.one_of({0U, 0U, 5U});
  drawn.troubles.reads_per_wait = random.one_of<std::size_t>({1, 8, 64, 100});
  drawn.troubles.landing_limit = random.one_of<std::size_t>({2, 16, kLandingBuffers});
  drawn.slow_percent = random.one_of({0U, 1U, 60U});
  drawn.send_percent = random.one_of({5U, 30U, 80U, 80U});
  drawn.burst_packets = random.one_of({1U, 20U, 150U});
  drawn.stall_percent = random.one_of({0U, 1U, 5U});
  drawn.change_percent = random.one_of({0U, 2U, 10U});
  if (random.percent(30)) put_under_pressure(random, drawn);
  return drawn;
}

std::string Parameters::text() const {
  std::string line = fmt::format(
      "seed={} steps={} workers={} chunks={} send={}%x{} stall={}% change={}% completion={}% "
      "write_error={}% slow={}% reads={} landings={}",
      seed, steps, workers, chunks_per_worker, send_percent, burst_packets, stall_percent,
      change_percent, troubles.completion_percent, troubles.write_error_percent, slow_percent,
      troubles.reads_per_wait, troubles.landing_limit);
  for (const auto& machine : machines)
    line += fmt::format(
        " machine({} hz={} backlog={} budget={} weight={} sock_flows={} limit={}{})",
        machine.rules.kernel, machine.hz, machine.sysctls.netdev_max_backlog,
        machine.sysctls.netdev_budget, machine.sysctls.dev_weight,
        machine.sysctls.rps_sock_flow_entries, machine.sysctls.flow_limit_cpu_bitmap.size(),
        machine.inline_arrival ? " inline" : "");
  for (const auto& pair : pairs) {
    line += fmt::format(" pair(machine={}", pair.machine);
    for (int side = 0; side < 2; ++side) {
      const Device& end = pair.ends[side];
      line += fmt::format(
          " {}(queues={} mtu={} rps={} flows={}{}{}{}{}{}{}{}{}{})", "ab"[side], pair.queues[side],
          end.mtu, end.rps_cpus.size(), end.rps_flow_cnt, end.gro ? " gro" : "",
          end.tso ? " tso" : "", end.rx_udp_gro_forwarding ? " udp" : "", end.has_xdp ? " xdp" : "",
          end.has_qdisc ? " qdisc" : "",
          std::array{"", " tcp", " tcp+udp"}[static_cast<std::size_t>(end.coalesce)],
          end.takes_merged == Merge::tcp_and_udp ? " uso" : "",
          pair.owner_only[side] ? " owner" : "", end.plain_frames ? " plain" : "");
    }
    line += ")";
  }
  return line;
}

}  // namespace vethd::sim

// A report in which every number is another one, so that none can stand in for a second.
#pragma once

#include "daemon/stats/report.hpp"

namespace vethd::test {

/// Fills every counter of the lists with a number of its own, from *next upwards.
inline DirectionReport numbered_direction(std::uint64_t* next) {
  DirectionReport way;
#define X(name, ...) way.counters.name = (*next)++;
  VETHD_LEDGER(X)
#undef X
#define X(name, ...) way.in_flight.name = (*next)++;
  VETHD_IN_FLIGHT(X)
#undef X
  return way;
}

inline DeviceCounters numbered_device(std::uint64_t* next) {
  DeviceCounters device;
#define X(name, ...) device.name = (*next)++;
  VETHD_DEVICE(X)
#undef X
  return device;
}

inline Report sample_report() {
  std::uint64_t next = 1001;
  Report report;
  report.daemon = {.version = "1.2.3",
                   .pid = 4711,
                   .workers = 2,
                   .memory_bytes = 64UL << 20,
                   .control_socket = "/run/vethd/vethd.sock",
                   .io_uring = {.in_use = {"MSG_RING", "DEFER_TASKRUN"},
                                .missing = {"single-shot reads instead of multishot"}}};
  PairReport pair;
  pair.name = "web";
  pair.machine = "small";
  pair.carrier = true;
  pair.coalesce = "auto";
  pair.a = {.ifname = "veth0",
            .netns = "red",
            .ifindex = 7,
            .mtu = 1500,
            .mac = {{2, 0, 0, 0, 0, 1}},
            .up = true,
            .driver = "tap",
            .queues = 1,
            .offloads = {"csum", "tso4"},
            .features = {.gro = false, .tso = true, .rx_udp_gro_forwarding = false},
            .device = numbered_device(&next)};
  pair.b = pair.a;
  pair.b.ifname = "veth1";
  pair.b.netns = "blue";
  pair.b.mtu = 9000;
  pair.b.mac = {{2, 0, 0, 0, 0, 2}};
  pair.b.up = false;
  pair.b.offloads = {};
  pair.b.features = {.gro = true, .tso = false, .rx_udp_gro_forwarding = true};
  XdpCounts counts;
  for_each_verdict(counts.verdicts, [&](auto, std::uint64_t& frames) { frames = next++; });
  pair.b.xdp = {.object = "prog.o", .program = "fw", .id = 17, .mode = "native", .counts = counts};
  pair.b.device = numbered_device(&next);
  pair.a_to_b = numbered_direction(&next);
  next *= 1'000'000'000'000;  // so that the columns differ in width
  pair.b_to_a = numbered_direction(&next);
  report.pairs.push_back(pair);

  for (const std::uint32_t cpu : {0U, 1U}) {
    SoftnetReport softnet{.machine = "small", .cpu = {cpu}, .counters = {}};
#define X(name, ...) softnet.counters.name = next++;
    VETHD_SOFTNET(X)
#undef X
    report.softnet.push_back(softnet);
    WorkerReport worker{.cpu = {cpu}, .counters = {}};
#define X(name, ...) worker.counters.name = next++;
    VETHD_WORKER(X)
#undef X
    report.workers.push_back(worker);
  }
  return report;
}

}  // namespace vethd::test

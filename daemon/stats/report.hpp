// What the operator is told: plain values, gathered by control, and their JSON.
#pragma once

#include <sys/types.h>

#include <boost/json/object.hpp>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/mac.hpp"
#include "daemon/stats/counters.hpp"
#include "daemon/stats/verdicts.hpp"
#include "daemon/stats/veth_stats.hpp"

namespace vethd {

struct DaemonReport {
  std::string version;
  pid_t pid = 0;
  std::uint32_t workers = 0;
  std::uint64_t memory_bytes = 0;  // of the frame arena
  std::string control_socket;
  struct {
    std::vector<std::string> in_use;
    std::vector<std::string> missing;  // each with what stands in
  } io_uring;
};

/// The switches of ethtool -K that count on the path.
struct FeaturesReport {
  bool gro = false;
  bool tso = false;
  bool rx_udp_gro_forwarding = false;
};

/// An XDP program on what an end receives.
struct XdpReport {
  std::string object;  // empty: not of the configuration
  std::string program;
  std::uint32_t id = 0;
  std::string mode;                              // in words
  std::expected<XdpCounts, std::string> counts;  // or why they are unknown
};

/// The sockets of an AF_XDP end.
struct AfXdpReport {
  std::string driver;                // the device's: "igb"
  std::string asked;                 // mode: "auto", "zerocopy", "copy", "generic"
  std::string mode;                  // what it got
  std::vector<std::string> refused;  // better modes, and why they were not to be had
  std::string steer;                 // in words
  bool multi_buffer = false;         // frames longer than a chunk
  bool attached = true;              // false: by force no more
  std::uint32_t device_queues = 0;   // that the device receives on, with a socket or not
};

/// One device, under the name and in the namespace it has now.
struct EndReport {
  std::string ifname;
  std::string netns;  // as configured or, after a move, as found
  int ifindex = 0;
  std::uint32_t mtu = 0;  // bytes
  MacAddress mac;
  bool up = false;     // IFF_UP
  std::string driver;  // "tap", "af_xdp"
  std::uint32_t queues = 0;
  std::vector<std::string> offloads;
  FeaturesReport features;
  std::optional<XdpReport> xdp = std::nullopt;
  std::optional<AfXdpReport> af_xdp = std::nullopt;
  DeviceCounters device = {};
  // As a veth would show it; asked for by `show -s`.
  struct VethView {
    VethLinkStats link;
    std::vector<std::pair<std::string, std::uint64_t>> ethtool;
  };
  std::optional<VethView> veth = std::nullopt;
};

struct DirectionReport {
  Counters counters;
  InFlight in_flight;
  std::vector<RqCounters> rq;  // by the receiver's queue
};

struct PairReport {
  std::string name;
  std::string machine;
  bool carrier = false;  // of both ends
  std::string coalesce;
  EndReport a;
  EndReport b;
  DirectionReport a_to_b;
  DirectionReport b_to_a;
};

struct SoftnetReport {
  std::string machine;
  CpuId cpu;
  SoftnetCounters counters;
};

struct WorkerReport {
  CpuId cpu;
  WorkerCounters counters;
};

struct Report {
  DaemonReport daemon;
  std::vector<PairReport> pairs;
  std::vector<SoftnetReport> softnet;
  std::vector<WorkerReport> workers;
};

/// `vethctl -j show`: {"pairs": [...], "daemon": {...}}. Reads no counter. With -s each end has
/// "stats" and "ethtool", too.
boost::json::object show_json(const Report& report);

/// `vethctl -j stats`: {"pairs": [...], "softnet": [...], "workers": [...]}. Of an end it reads
/// only its names and what the device counts, which stands in the direction it belongs to.
boost::json::object stats_json(const Report& report);

}  // namespace vethd

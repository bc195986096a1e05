// The configuration as plain structs: every key, its default, unit and range. What parse.cpp fills
// in, validate.cpp has cross-checked before anything is opened.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/mac.hpp"

namespace vethd::config {

/// Where in the file something was said: for errors found after parsing.
struct Location {
  std::uint32_t line = 0;    // 1-based; 0: nowhere, a default
  std::uint32_t column = 0;  // 1-based, in characters

  friend bool operator==(const Location&, const Location&) = default;
};

/// The keys of one section that the file gives, and where.
struct Written {
  struct Key {
    std::string_view name;
    Location where;         // of the value
    bool accepted = false;  // false: refused, the member holds the default
  };
  std::vector<Key> keys;
  Location section;  // of the section itself

  [[nodiscard]] const Key* find(std::string_view name) const {
    for (const Key& key : keys) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }
  /// Of the key, or of its section where the key is left out.
  [[nodiscard]] Location at(std::string_view name) const {
    const Key* key = find(name);
    return key != nullptr ? key->where : section;
  }
  [[nodiscard]] bool refused(std::string_view name) const {
    const Key* key = find(name);
    return key != nullptr && !key->accepted;
  }
};

/// [daemon]
struct Daemon {
  std::uint32_t workers = 0;                // emulated CPUs = worker threads; 0: online CPUs
  std::vector<std::uint32_t> cpu_affinity;  // real CPU per worker; empty: the scheduler decides
  std::string control_socket = "/run/vethd/vethd.sock";
  bool create_netns = true;                  // make missing named namespaces, remove them on exit
  std::uint64_t memory_bytes = 64ULL << 20;  // frame arena
  std::chrono::microseconds busy_poll_usecs{0};  // longest look before a sleep; 0: none
  Written written;
};

enum class KernelVersion : std::uint8_t { v4_14, v5_4, v6_1, v6_12, v6_18 };  // oldest first
enum class Arrival : std::uint8_t {
  burst,   // one softirq after a batch, as a softirq sender causes
  inline_  // one softirq per frame, as a local sender causes
};

/// [softnet] and [softnet.NAME]: one emulated machine. Keys are the net.core sysctls.
struct Softnet {
  std::string name;  // "default", NAME, or "kernel-V" for a pair that names only a version
  KernelVersion kernel = KernelVersion::v6_18;
  std::int32_t netdev_max_backlog = 1000;               // frames, per emulated CPU
  std::int32_t netdev_budget = 300;                     // frames per net_rx_action
  std::chrono::microseconds netdev_budget_usecs{8000};  // default by kernel and hz
  std::int32_t dev_weight = 64;                         // frames per process_backlog
  std::int32_t dev_weight_rx_bias = 1;                  // factor on it
  std::uint32_t rps_sock_flow_entries = 0;              // a power of two; 0: no RFS
  std::vector<CpuId> flow_limit_cpu_bitmap;             // emulated CPUs, ascending; empty: off
  std::uint32_t flow_limit_table_len = 4096;            // a power of two
  std::uint32_t hz = 250;                               // ticks per second of the emulated kernel
  Arrival arrival = Arrival::burst;
  Written written;
};

/// netns = "red" | "/proc/123/ns/net" | { pid = 123 }; left out: the daemon's own.
struct NetnsRef {
  enum class Kind : std::uint8_t { own, name, path, pid };
  Kind kind = Kind::own;
  std::string text;  // the name or the path
  pid_t pid = 0;

  friend bool operator==(const NetnsRef&, const NetnsRef&) = default;
  [[nodiscard]] std::string label() const;  // for messages: "red", "/proc/1/ns/net", "pid 1", "own"
};

/// "192.168.1.1/24", "fd00::1/64"
struct Address {
  int family = 0;                        // AF_INET or AF_INET6
  std::array<std::uint8_t, 16> bytes{};  // network order; the first 4 for AF_INET
  std::uint8_t prefix = 0;               // bits
  std::string text;                      // as written
  Location where;
};

enum class Driver : std::uint8_t { tap, af_xdp };

/// Which frames of a flow that leave in a row are written to a TAP as one super-frame.
enum class Coalesce : std::uint8_t {
  automatic,  // "auto": TCP from a network card with GRO on, as its own stack would have merged it
  off,
  always  // whatever can be: a receiver sees super-frames that nobody sent
};

constexpr std::string_view name_of(Coalesce coalesce) {
  switch (coalesce) {
    case Coalesce::automatic:
      return "auto";
    case Coalesce::off:
      return "off";
    case Coalesce::always:
      return "always";
  }
  return "?";
}

enum class XdpMode : std::uint8_t {
  automatic,  // "auto": the best that the driver can do
  zerocopy,   // the device reads and writes the arena
  copy,       // the driver's XDP hook, frames are copied
  generic     // the stack's XDP hook, for drivers without one; frames are copied
};

constexpr std::string_view name_of(XdpMode mode) {
  switch (mode) {
    case XdpMode::automatic:
      return "auto";
    case XdpMode::zerocopy:
      return "zerocopy";
    case XdpMode::copy:
      return "copy";
    case XdpMode::generic:
      return "generic";
  }
  return "";
}

/// steer = "all" | { mac = "02:…", vlan = 7, multicast = true }: which of the device's frames come
/// to vethd; the rest goes on to the stack. Nothing set: all.
struct Steer {
  std::optional<MacAddress> mac;      // destination
  std::optional<std::uint16_t> vlan;  // 1..4094
  bool multicast = false;             // with mac: group addresses too

  [[nodiscard]] bool all() const { return !mac && !vlan; }
  friend bool operator==(const Steer&, const Steer&) = default;
};

/// What only an end with driver = "af_xdp" has.
struct AfXdp {
  XdpMode mode = XdpMode::automatic;
  Steer steer;
  bool force = false;  // also a device that holds the default route
  // Entries, powers of two; of each queue's socket.
  std::uint32_t rx_ring = 2048;
  std::uint32_t tx_ring = 2048;
  std::uint32_t fill_ring = 4096;  // also how many chunks of the arena are lent to the device
  std::uint32_t completion_ring = 2048;
  bool need_wakeup = true;             // XDP_USE_NEED_WAKEUP
  std::uint32_t busy_poll_budget = 0;  // frames per poll, SO_BUSY_POLL_BUDGET; 0: no busy polling
};

/// [pair.a.metadata]: what every frame entering here carries besides its bytes.
struct Metadata {
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t classid = 0;  // net_cls cgroup of the sending socket: major << 16 | minor
  Written written;
};

/// [pair.b.xdp]: a program on the frames this end receives.
struct Xdp {
  std::string object;   // path of the ELF file
  std::string program;  // its name in there
  Location where;
  Written written;
};

/// [pair.a], [pair.b]
struct End {
  Driver driver = Driver::tap;
  NetnsRef netns;
  std::string ifname;              // 1..15 characters; on an AF_XDP end of a device that exists
  std::optional<MacAddress> mac;   // left out: stable_mac(); of a TAP
  std::uint32_t mtu = 1500;        // 68..65521; of a TAP: an AF_XDP end has its device's
  std::vector<Address> addresses;  // of a TAP
  std::uint32_t queues = 1;        // 1..256; of a device those that get a socket
  // Emulated CPUs that RPS may choose, ascending: of all rx queues, or of each; empty: off.
  std::vector<std::vector<CpuId>> rps_cpus;
  std::uint32_t rps_flow_cnt = 0;   // RFS flows per rx queue, a power of two; 0: off
  std::uint32_t txqueuelen = 4096;  // frames in the TAP's transmit ring
  // As ethtool -K names them.
  bool gro = false;
  bool tso = true;  // of a TAP
  bool rx_udp_gro_forwarding = false;
  AfXdp af_xdp;
  Metadata metadata;
  std::optional<Xdp> xdp;
  Location where;
  Written written;
};

/// [[pair]]
struct Pair {
  std::string name;
  MachineId machine;  // index into Config::machines
  Coalesce coalesce = Coalesce::automatic;
  End a;
  End b;
  Location where;
  Written written;
};

struct Config {
  std::string file;
  Daemon daemon;
  std::vector<Softnet> machines;  // [0] is [softnet], the default machine
  std::vector<Pair> pairs;
};

}  // namespace vethd::config

// [softnet] and [softnet.NAME]

#include <climits>

#include "config/kernel.hpp"
#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"
#include "config/limits.hpp"

namespace vethd::config {

namespace {

constexpr std::array kArrivals = {Choice<Arrival>{"burst", Arrival::burst},
                                  Choice<Arrival>{"inline", Arrival::inline_}};

void read_hz(const Given& given, Softnet& to) {
  const auto number = integer_of(given, given.value);
  if (!number) return;
  constexpr std::array<std::int64_t, 4> kChoices = {100, 250, 300, 1000};  // kernel/Kconfig.hz
  if (std::ranges::find(kChoices, *number) == kChoices.end()) {
    return given.refuse(fmt::format("no kernel is built with HZ = {}", *number));
  }
  to.hz = static_cast<std::uint32_t>(*number);
}

void read_flow_limit_table_len(const Given& given, Softnet& to) {
  const auto number = integer_of(given, given.value);
  if (!number) return;
  const auto length = static_cast<std::uint32_t>(*number);
  if (!std::has_single_bit(length)) {
    return given.refuse(fmt::format("flow_limit_table_len = {} is not a power of two", length));
  }
  to.flow_limit_table_len = length;
}

const std::array kSoftnetKeys = {
    Key<Softnet>{{.name = "kernel",
                  .unit = "version",
                  .standard = "\"6.18\"",
                  .example = "\"6.18\"",
                  .rule = "write \"4.14\", \"5.4\", \"6.1\", \"6.12\" or \"6.18\"",
                  .help = "the kernel whose rules the machine follows"},
                 choice<&Softnet::kernel, kKernels>},
    Key<Softnet>{{.name = "netdev_max_backlog",
                  .unit = "frames",
                  .standard = "1000",
                  .example = "1000",
                  .min = 0,
                  .max = kMaxQueueFrames,
                  .rule = "write a queue length in range (the kernel checks nothing); no more "
                          "frames than memory has can wait anyway",
                  .help = "longest input_pkt_queue of an emulated CPU; one frame more fits"},
                 integer<&Softnet::netdev_max_backlog>},
    Key<Softnet>{{.name = "netdev_budget",
                  .unit = "frames",
                  .standard = "300",
                  .example = "300",
                  .min = 1,
                  .max = INT_MAX,
                  .rule = "write at least 1 (the kernel checks nothing, but below 1 every round "
                          "ends in time_squeeze)",
                  .help = "most frames in one net_rx_action"},
                 integer<&Softnet::netdev_budget>},
    Key<Softnet>{{.name = "netdev_budget_usecs",
                  .unit = "us",
                  .standard = "by kernel: 2000 in 4.14, then 2000000 / hz",
                  .example = "20000",
                  .min = 0,
                  .max = INT_MAX,
                  .rule = "write at least two jiffies, 2000000 / hz, for a 6.x kernel, which "
                          "answers EINVAL below; for 4.14 and 5.4 any number from 0",
                  .help = "most time in one net_rx_action"},
                 integer<&Softnet::netdev_budget_usecs>},
    Key<Softnet>{{.name = "dev_weight",
                  .unit = "frames",
                  .standard = "64",
                  .example = "64",
                  .min = 1,
                  .max = INT_MAX,
                  .rule = "write at least 1, as a 6.x kernel requires",
                  .help = "most frames in one process_backlog, times dev_weight_rx_bias"},
                 integer<&Softnet::dev_weight>},
    Key<Softnet>{{.name = "dev_weight_rx_bias",
                  .unit = "factor",
                  .standard = "1",
                  .example = "1",
                  .min = 1,
                  .max = INT_MAX,
                  .rule = "write at least 1, as a 6.x kernel requires",
                  .help = "multiplies dev_weight on the receive side"},
                 integer<&Softnet::dev_weight_rx_bias>},
    Key<Softnet>{{.name = "rps_sock_flow_entries",
                  .unit = "flows",
                  .standard = "0",
                  .example = "32768",
                  .min = 0,
                  .max = kMaxFlowEntries,
                  .rule = "write a table size in range; it is rounded up to a power of two, as the "
                          "kernel does, which goes on to 2^29",
                  .help = "where RFS remembers which CPU a flow's reader runs on; 0: off"},
                 flow_entries<&Softnet::rps_sock_flow_entries>},
    Key<Softnet>{{.name = "flow_limit_cpu_bitmap",
                  .unit = "emulated CPU numbers",
                  .standard = "[]",
                  .example = "[0]",
                  .min = 0,
                  .max = kMaxWorkers - 1,
                  .rule = "write emulated CPUs from 0 to workers - 1, each once",
                  .help = "CPUs that refuse a flow which fills more than half of a backlog; empty: "
                          "off"},
                 cpu_mask<&Softnet::flow_limit_cpu_bitmap>},
    Key<Softnet>{{.name = "flow_limit_table_len",
                  .unit = "buckets",
                  .standard = "4096",
                  .example = "4096",
                  .min = 1,
                  .max = kMaxFlowLimitTable,
                  .rule = "write a power of two, else the kernel answers EINVAL; its history keeps "
                          "bucket numbers in 16 bits",
                  .help = "by which flow limits tell flows apart"},
                 read_flow_limit_table_len},
    Key<Softnet>{{.name = "hz",
                  .unit = "Hz",
                  .standard = "250",
                  .example = "1000",
                  .min = 100,
                  .max = 1000,
                  .rule = "write 100, 250, 300 or 1000, the choices of a kernel's configuration",
                  .help = "ticks of the emulated kernel; its time limits are whole jiffies"},
                 read_hz},
    Key<Softnet>{{.name = "arrival",
                  .unit = "word",
                  .standard = "\"burst\"",
                  .example = "\"burst\"",
                  .rule = "write \"burst\" or \"inline\"",
                  .help = "\"burst\": a softirq after each batch, as a softirq sender causes; "
                          "\"inline\": after each frame, as a local sender does"},
                 choice<&Softnet::arrival, kArrivals>},
};

}  // namespace

std::vector<KeyInfo> softnet_keys() { return infos(kSoftnetKeys); }

void read_section(const Table& entries, std::string_view section, Softnet& to, Diagnostics& out) {
  read_keys(kSoftnetKeys, entries, section, to, out);
}

bool is_softnet_key(std::string_view name) {
  return std::ranges::any_of(kSoftnetKeys, [&](const auto& key) { return key.info.name == name; });
}

}  // namespace vethd::config

#include "config/keys.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "config/kernel.hpp"
#include "config/limits.hpp"
#include "config/literals.hpp"
#include "config/suggest.hpp"

namespace vethd::config {

namespace {

/// How one value of the file is read: what it belongs to, and where to complain.
struct Given {
  const Value& value;
  const KeyInfo& key;
  Diagnostics& out;

  void refuse(const Value& part, std::string what) const {
    out.add(part.where, std::move(what),
            fmt::format("{}, as in {} = {}", key.rule, key.name, key.example));
  }
  void refuse(std::string what) const { refuse(value, std::move(what)); }
  void refuse_kind(const Value& part) const {
    refuse(part, fmt::format("{} cannot be {}", key.name, kind_of(part)));
  }
};

template <class Section>
struct Key {
  KeyInfo info;
  void (*read)(const Given&, Section&);
};

// --- readers, by the form of the value ---

/// The integer if it lies in the key's range.
std::optional<std::int64_t> integer_of(const Given& given, const Value& value) {
  const auto* number = std::get_if<std::int64_t>(&value.data);
  if (number == nullptr) {
    given.refuse_kind(value);
    return std::nullopt;
  }
  if (*number < given.key.min || *number > given.key.max) {
    given.refuse(value, fmt::format("{} = {} is not in {}..{}", given.key.name, *number,
                                    given.key.min, given.key.max));
    return std::nullopt;
  }
  return *number;
}

const std::string* string_of(const Given& given, const Value& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  if (text == nullptr) given.refuse_kind(value);
  return text;
}

const Array* array_of(const Given& given) {
  const auto* array = std::get_if<Array>(&given.value.data);
  if (array == nullptr) given.refuse_kind(given.value);
  return array;
}

/// The declared range must fit the member; a test sets both ends of each.
template <auto Member, class Section>
void integer(const Given& given, Section& to) {
  using Number = std::remove_reference_t<decltype(to.*Member)>;
  if (const auto number = integer_of(given, given.value)) {
    if constexpr (std::is_integral_v<Number>) {
      to.*Member = static_cast<Number>(*number);
    } else {
      to.*Member = Number{*number};
    }
  }
}

/// Rounded up, as the kernel rounds its flow tables: roundup_pow_of_two(); 0 stays 0.
template <auto Member, class Section>
void flow_entries(const Given& given, Section& to) {
  if (const auto number = integer_of(given, given.value)) {
    const auto entries = static_cast<std::uint32_t>(*number);
    to.*Member = entries == 0 ? 0 : std::bit_ceil(entries);
  }
}

std::uint32_t element(std::int64_t number, std::uint32_t) {
  return static_cast<std::uint32_t>(number);
}
CpuId element(std::int64_t number, CpuId) { return {static_cast<std::uint32_t>(number)}; }

template <auto Member, class Section>
void cpu_list(const Given& given, Section& to) {
  const Array* array = array_of(given);
  if (array == nullptr) return;
  auto& list = to.*Member;
  using Element = typename std::remove_reference_t<decltype(list)>::value_type;
  list.clear();
  for (const Value& value : *array) {
    const auto number = integer_of(given, value);
    if (!number) continue;
    const Element cpu = element(*number, Element{});
    if (std::ranges::find(list, cpu) != list.end()) {
      given.refuse(value, fmt::format("CPU {} is listed twice in {}", *number, given.key.name));
      continue;
    }
    list.push_back(cpu);
  }
}

/// The same in ascending order: a mask in the kernel.
template <auto Member, class Section>
void cpu_mask(const Given& given, Section& to) {
  cpu_list<Member>(given, to);
  std::ranges::sort(to.*Member);
}

template <auto Member, class Section>
void boolean(const Given& given, Section& to) {
  if (const auto* flag = std::get_if<bool>(&given.value.data)) {
    to.*Member = *flag;
  } else {
    given.refuse_kind(given.value);
  }
}

template <class Enum>
using Choice = std::pair<std::string_view, Enum>;
constexpr std::array kArrivals = {Choice<Arrival>{"burst", Arrival::burst},
                                  Choice<Arrival>{"inline", Arrival::inline_}};
constexpr std::array kCoalesce = {Choice<bool>{"auto", true}, Choice<bool>{"off", false}};
constexpr std::array kDrivers = {Choice<Driver>{"tap", Driver::tap}};

template <auto Member, const auto& Choices, class Section>
void choice(const Given& given, Section& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  for (const auto& [name, meaning] : Choices) {
    if (*text != name) continue;
    to.*Member = meaning;
    return;
  }
  given.refuse(fmt::format("{} = {} is not known", given.key.name, quote(*text)));
}

// --- readers, by key ---

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

void read_control_socket(const Given& given, Daemon& to) {
  const std::string* path = string_of(given, given.value);
  if (path == nullptr) return;
  if (path->size() >= sizeof(sockaddr_un::sun_path)) {
    given.refuse(fmt::format("a socket path of {} characters does not fit the kernel's sun_path",
                             path->size()));
  } else if (!path->starts_with('/') || path->ends_with('/') ||
             path->find('\0') != std::string::npos) {
    given.refuse(fmt::format("{} is not the absolute path of a socket", quote(*path)));
  } else {
    to.control_socket = *path;
  }
}

void read_memory(const Given& given, Daemon& to) {
  if (std::holds_alternative<std::int64_t>(given.value.data)) {
    return given.refuse("memory without a unit");
  }
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  const auto bytes = parse_size(*text);
  if (!bytes) return given.refuse(fmt::format("memory = {} is not a size", quote(*text)));
  if (*bytes > kMaxMemoryBytes) {
    return given.refuse(fmt::format("memory = {} is too much", quote(*text)));
  }
  to.memory_bytes = *bytes;
}

void read_pair_name(const Given& given, PairKeys& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  if (!is_plain_name(*text)) return given.refuse(fmt::format("{} is no pair name", quote(*text)));
  to.name = *text;
}

void read_pair_softnet(const Given& given, PairKeys& to) {
  if (const std::string* text = string_of(given, given.value)) to.softnet = *text;
}

void read_driver(const Given& given, End& to) {
  const auto* text = std::get_if<std::string>(&given.value.data);
  if (text != nullptr && *text == "af_xdp") return given.refuse("driver 'af_xdp' is not built yet");
  choice<&End::driver, kDrivers>(given, to);
}

void read_netns_pid(const Given& given, const Table& table, End& to) {
  const std::string_view known = "pid";
  const Value* pid = nullptr;
  for (const Entry& entry : table) {
    if (entry.key == known) {
      pid = &entry.value;
    } else {
      given.out.add(entry.where, fmt::format("unknown key {} in netns", quote(entry.key)),
                    suggest(entry.key, {&known, 1}));
    }
  }
  if (pid == nullptr) return given.refuse("netns names no pid");
  const auto* number = std::get_if<std::int64_t>(&pid->data);
  if (number == nullptr) return given.refuse(*pid, fmt::format("pid cannot be {}", kind_of(*pid)));
  if (*number < 1 || *number > std::numeric_limits<pid_t>::max()) {
    return given.refuse(*pid, fmt::format("pid = {} is no process id", *number));
  }
  to.netns = {.kind = NetnsRef::Kind::pid, .text = {}, .pid = static_cast<pid_t>(*number)};
}

void read_netns(const Given& given, End& to) {
  if (const auto* table = std::get_if<Table>(&given.value.data)) {
    return read_netns_pid(given, *table, to);
  }
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  if (text->find('\0') != std::string::npos || text->size() >= PATH_MAX) {
    return given.refuse("netns is no file name");
  }
  if (text->starts_with('/')) {
    to.netns = {.kind = NetnsRef::Kind::path, .text = *text};
  } else if (text->size() <= NAME_MAX && *text != "." && *text != ".." &&
             std::ranges::all_of(*text, [](char c) { return c > ' ' && c < 0x7f && c != '/'; }) &&
             !text->empty()) {
    to.netns = {.kind = NetnsRef::Kind::name, .text = *text};
  } else {
    given.refuse(
        fmt::format("{} is neither a namespace's name nor an absolute path", quote(*text)));
  }
}

void read_ifname(const Given& given, End& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  if (!is_interface_name(*text)) {
    return given.refuse(fmt::format("{} is no interface name", quote(*text)));
  }
  to.ifname = *text;
}

void read_mac(const Given& given, End& to) {
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  const auto mac = parse_mac(*text);
  if (!mac) return given.refuse(fmt::format("{} is no MAC address", quote(*text)));
  if (!mac->is_valid()) {
    return given.refuse(fmt::format("the kernel refuses the MAC {} with EADDRNOTAVAIL", *text));
  }
  to.mac = *mac;
}

/// Why the kernel would not put this address on an interface, or empty.
///
/// Emulates  net/ipv6/addrconf.c: ipv6_add_addr(), EADDRNOTAVAIL; for IPv4 the kernel is laxer,
///           but no host can answer on such an address.
std::string_view unusable(const Address& address) {
  const std::span<const std::uint8_t> bytes(address.bytes.data(),
                                            address.family == AF_INET ? 4 : 16);
  if (std::ranges::all_of(bytes, [](auto byte) { return byte == 0; })) return "the unspecified";
  if (address.family == AF_INET) {
    if (bytes[0] >= 224 && bytes[0] <= 239) return "a multicast";
    if (std::ranges::all_of(bytes, [](auto byte) { return byte == 255; })) return "the broadcast";
    return {};
  }
  if (bytes[0] == 0xff) return "a multicast";
  if (bytes.back() == 1 &&
      std::ranges::all_of(bytes.first(15), [](auto byte) { return byte == 0; })) {
    return "the loopback's";
  }
  return {};
}

void read_addresses(const Given& given, End& to) {
  const Array* array = array_of(given);
  if (array == nullptr) return;
  to.addresses.clear();
  for (const Value& value : *array) {
    const std::string* text = string_of(given, value);
    if (text == nullptr) continue;
    auto address = parse_address(*text);
    if (!address) {
      given.refuse(value, fmt::format("{} is no address with a prefix", quote(*text)));
      continue;
    }
    if (const std::string_view why = unusable(*address); !why.empty()) {
      given.refuse(value, fmt::format("{} is {} address", quote(*text), why));
      continue;
    }
    const auto same = [&](const Address& other) {
      return other.family == address->family && other.bytes == address->bytes;
    };
    if (std::ranges::any_of(to.addresses, same)) {
      given.refuse(value, fmt::format("{} is listed twice (the kernel: EEXIST)", quote(*text)));
      continue;
    }
    address->where = value.where;
    to.addresses.push_back(std::move(*address));
  }
}

void read_rx_gro_list(const Given& given) {
  const auto* flag = std::get_if<bool>(&given.value.data);
  if (flag == nullptr) return given.refuse_kind(given.value);
  if (*flag) {
    given.refuse(
        "rx_gro_list = true: aggregation by list has no encoding in a virtio-net header, with "
        "which frames enter a TAP");
  }
}

void read_object(const Given& given, Xdp& to) {
  const std::string* path = string_of(given, given.value);
  if (path == nullptr) return;
  if (path->empty() || path->size() >= PATH_MAX || path->find('\0') != std::string::npos) {
    return given.refuse("object is no file name");
  }
  to.object = *path;
}

void read_program(const Given& given, Xdp& to) {
  const std::string* name = string_of(given, given.value);
  if (name == nullptr) return;
  if (name->empty() || name->size() > kMaxProgramName ||
      !std::ranges::all_of(*name, [](char c) { return c > ' ' && c < 0x7f; })) {
    return given.refuse(fmt::format("{} is no program's name", quote(*name)));
  }
  to.program = *name;
}

// --- the tables ---

const std::array kDaemonKeys = {
    Key<Daemon>{{.name = "workers",
                 .unit = "threads",
                 .standard = "one per online CPU",
                 .example = "2",
                 .min = 1,
                 .max = kMaxWorkers,
                 .rule = "leave it out for one worker per online CPU, or write a number in range",
                 .help = "emulated CPUs; each is one thread with its own io_uring"},
                integer<&Daemon::workers>},
    Key<Daemon>{{.name = "cpu_affinity",
                 .unit = "CPU numbers",
                 .standard = "the scheduler decides",
                 .example = "[0, 1]",
                 .min = 0,
                 .max = kMaxCpu,
                 .rule = "write one online CPU for each worker",
                 .help = "the CPU that each worker is bound to"},
                cpu_list<&Daemon::cpu_affinity>},
    Key<Daemon>{{.name = "control_socket",
                 .unit = "path",
                 .standard = "\"/run/vethd/vethd.sock\"",
                 .example = "\"/run/vethd/vethd.sock\"",
                 .rule = "write an absolute path of at most 107 characters",
                 .help = "where vethctl finds the daemon"},
                read_control_socket},
    Key<Daemon>{{.name = "create_netns",
                 .unit = "boolean",
                 .standard = "true",
                 .example = "true",
                 .rule = "write true or false",
                 .help = "make named namespaces that do not exist, remove those on exit"},
                boolean<&Daemon::create_netns>},
    Key<Daemon>{{.name = "memory",
                 .unit = "KiB, MiB or GiB",
                 .standard = "\"64MiB\"",
                 .example = "\"64MiB\"",
                 .rule = "write a string with its unit (KiB, MiB, GiB), from 8MiB per worker up to "
                         "64GiB",
                 .help = "frame arena; left out, more than 8 workers make it 8MiB for each"},
                read_memory},
    Key<Daemon>{{.name = "busy_poll_usecs",
                 .unit = "us",
                 .standard = "0",
                 .example = "50",
                 .min = 0,
                 .max = kMaxBusyPollUsecs,
                 .rule = "write a time in range; 0 turns it off",
                 .help = "how long a worker that has nothing to do looks on before it sleeps; only "
                         "while traffic is frequent and nobody else wants the CPU"},
                integer<&Daemon::busy_poll_usecs>},
};

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
                  .rule = "write at least 1, as a 6.18 kernel requires",
                  .help = "most frames in one process_backlog, times dev_weight_rx_bias"},
                 integer<&Softnet::dev_weight>},
    Key<Softnet>{{.name = "dev_weight_rx_bias",
                  .unit = "factor",
                  .standard = "1",
                  .example = "1",
                  .min = 1,
                  .max = INT_MAX,
                  .rule = "write at least 1, as a 6.18 kernel requires",
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

// The features that a pair gives to both ends, and an end to itself.
constexpr KeyInfo feature_key(std::string_view name, std::string_view standard,
                              std::string_view help) {
  return {.name = name,
          .unit = "boolean",
          .standard = standard,
          .example = standard,
          .rule = "write true or false",
          .help = help};
}
constexpr KeyInfo kGro = feature_key(
    "gro", "false", "merge what arrives here into super-frames; from 6.1, not with xdp");
constexpr KeyInfo kTso =
    feature_key("tso", "true", "send super-frames of TCP; without, the stack segments them");
constexpr KeyInfo kRxUdpGroForwarding =
    feature_key("rx_udp_gro_forwarding", "false",
                "with gro: merge UDP that no local socket asked to merge; from 6.1");
constexpr KeyInfo kRxGroList = {.name = "rx_gro_list",
                                .unit = "boolean",
                                .standard = "false",
                                .example = "false",
                                .rule = "write false; rx_udp_gro_forwarding has an encoding",
                                .help =
                                    "cannot be had: frames of a list stay apart, and a "
                                    "virtio-net header knows no list"};

const std::array kPairKeys = {
    Key<PairKeys>{{.name = "name",
                   .unit = "word",
                   .standard = "required",
                   .example = "\"web\"",
                   .rule = "write 1 to 63 printable characters without '/' or blanks",
                   .help = "what vethctl and the log call the pair"},
                  read_pair_name},
    Key<PairKeys>{{.name = "softnet",
                   .unit = "word",
                   .standard = "the default machine",
                   .example = "\"small\"",
                   .rule = "write the NAME of a [softnet.NAME]",
                   .help = "the machine that the pair joins"},
                  read_pair_softnet},
    Key<PairKeys>{{.name = "kernel",
                   .unit = "version",
                   .standard = "the default machine",
                   .example = "\"6.18\"",
                   .rule = "write \"4.14\", \"5.4\", \"6.1\", \"6.12\" or \"6.18\"",
                   .help = "instead of softnet: the machine with that version's defaults; the "
                           "default machine itself where it has that version"},
                  choice<&PairKeys::kernel, kKernels>},
    Key<PairKeys>{{.name = "coalesce",
                   .unit = "word",
                   .standard = "\"auto\"",
                   .example = "\"off\"",
                   .rule = "write \"auto\" or \"off\"",
                   .help = "write frames of a flow that leave in a row as one super-frame; not to "
                           "an end with gro or xdp"},
                  choice<&PairKeys::coalesce, kCoalesce>},
    Key<PairKeys>{kGro, boolean<&PairKeys::gro>},
    Key<PairKeys>{kTso, boolean<&PairKeys::tso>},
    Key<PairKeys>{kRxUdpGroForwarding, boolean<&PairKeys::rx_udp_gro_forwarding>},
    Key<PairKeys>{kRxGroList, [](const Given& given, PairKeys&) { read_rx_gro_list(given); }},
};

const std::array kEndKeys = {
    Key<End>{{.name = "driver",
              .unit = "word",
              .standard = "\"tap\"",
              .example = "\"tap\"",
              .rule = "write \"tap\"",
              .help = "what carries the frames"},
             read_driver},
    Key<End>{{.name = "netns",
              .unit = "name, path or { pid = N }",
              .standard = "the daemon's own",
              .example = "\"red\"",
              .rule = "write a name, an absolute path or { pid = 123 }",
              .help = "network namespace of the interface; both ends may share one"},
             read_netns},
    Key<End>{{.name = "ifname",
              .unit = "word",
              .standard = "required",
              .example = "\"veth0\"",
              .rule = "write 1 to 15 characters without blanks, '/', ':' or '%', not \".\" or "
                      "\"..\", as the kernel's dev_valid_name requires",
              .help = "name of the interface"},
             read_ifname},
    Key<End>{{.name = "mac",
              .unit = "address",
              .standard = "random",
              .example = "\"02:00:00:00:00:01\"",
              .rule = "write a unicast address that is not all zero",
              .help = "Ethernet address; the two ends need different ones"},
             read_mac},
    Key<End>{{.name = "mtu",
              .unit = "bytes",
              .standard = "1500",
              .example = "1500",
              .min = kMinMtu,
              .max = kMaxTapMtu,
              .rule = "a TAP takes 65535 bytes less the 14 of the Ethernet header at most, and "
                      "Ethernet no less than 68",
              .help = "longest frame without its Ethernet header; with IPv6 at least 1280"},
             integer<&End::mtu>},
    Key<End>{{.name = "addresses",
              .unit = "address/prefix",
              .standard = "[]",
              .example = "[\"192.168.1.1/24\", \"fd00::1/64\"]",
              .rule = "write usable IPv4 or IPv6 unicast addresses with their prefix lengths",
              .help = "addresses set on the interface"},
             read_addresses},
    Key<End>{{.name = "queues",
              .unit = "queues",
              .standard = "1",
              .example = "1",
              .min = 1,
              .max = kMaxTapQueues,
              .rule = "a TAP has at most 256 queues",
              .help = "queues of the TAP; queue i of both ends shares a worker"},
             integer<&End::queues>},
    Key<End>{{.name = "rps_cpus",
              .unit = "emulated CPU numbers",
              .standard = "[]",
              .example = "[0]",
              .min = 0,
              .max = kMaxWorkers - 1,
              .rule = "write emulated CPUs from 0 to workers - 1, each once",
              .help = "CPUs that RPS may choose for frames to this end; empty: off"},
             cpu_mask<&End::rps_cpus>},
    Key<End>{{.name = "rps_flow_cnt",
              .unit = "flows",
              .standard = "0",
              .example = "4096",
              .min = 0,
              .max = kMaxFlowEntries,
              .rule = "write a table size in range; it is rounded up to a power of two, as the "
                      "kernel does",
              .help = "RFS flows per receive queue; 0: off, and off without rps_sock_flow_entries"},
             flow_entries<&End::rps_flow_cnt>},
    Key<End>{{.name = "txqueuelen",
              .unit = "frames",
              .standard = "1000",
              .example = "1000",
              .min = 1,
              .max = kMaxTxQueueLen,
              .rule = "write a ring size in range: with no slot nothing gets through, and each "
                      "slot may hold 64 KiB of kernel memory that no sender is charged for",
              .help = "frames in the TAP's transmit ring"},
             integer<&End::txqueuelen>},
    Key<End>{kGro, boolean<&End::gro>},
    Key<End>{kTso, boolean<&End::tso>},
    Key<End>{kRxUdpGroForwarding, boolean<&End::rx_udp_gro_forwarding>},
    Key<End>{kRxGroList, [](const Given& given, End&) { read_rx_gro_list(given); }},
};

const std::array kMetadataKeys = {
    Key<Metadata>{{.name = "mark",
                   .unit = "number",
                   .standard = "0",
                   .example = "7",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "skb->mark has 32 bits",
                   .help = "skb->mark, as SO_MARK or a firewall sets it"},
                  integer<&Metadata::mark>},
    Key<Metadata>{{.name = "priority",
                   .unit = "number",
                   .standard = "0",
                   .example = "3",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "skb->priority has 32 bits",
                   .help = "skb->priority, as SO_PRIORITY sets it"},
                  integer<&Metadata::priority>},
    Key<Metadata>{{.name = "classid",
                   .unit = "major << 16 + minor",
                   .standard = "0",
                   .example = "0x100001",
                   .min = 0,
                   .max = UINT32_MAX,
                   .rule = "a traffic class has 32 bits: 0x100001 is 10:1",
                   .help = "net_cls.classid of the sending socket's cgroup"},
                  integer<&Metadata::classid>},
};

const std::array kXdpKeys = {
    Key<Xdp>{{.name = "object",
              .unit = "path",
              .standard = "required",
              .example = "\"prog.o\"",
              .rule = "write the path of an ELF file; one without '/' in front starts where vethd "
                      "was started",
              .help = "the object file with the program"},
             read_object},
    Key<Xdp>{{.name = "program",
              .unit = "word",
              .standard = "required",
              .example = "\"xdp_pass\"",
              .rule = "write the name of a function in the object, of at most 127 printable "
                      "characters",
              .help = "which program in it"},
             read_program},
};

template <class Keys>
std::vector<KeyInfo> infos(const Keys& keys) {
  std::vector<KeyInfo> list;
  for (const auto& key : keys) list.push_back(key.info);
  return list;
}

template <class Section, std::size_t N>
void read_keys(const std::array<Key<Section>, N>& keys, const Table& entries,
               std::string_view section, Section& to, Diagnostics& out) {
  for (const Entry& entry : entries) {
    const auto found =
        std::ranges::find(keys, entry.key, [](const Key<Section>& key) { return key.info.name; });
    if (found == keys.end()) {
      std::array<std::string_view, N> names;
      std::ranges::transform(keys, names.begin(), [](const auto& key) { return key.info.name; });
      out.add(entry.where, fmt::format("unknown key {} in {}", quote(entry.key), section),
              suggest(entry.key, names));
      continue;
    }
    const std::size_t errors = out.size();
    found->read({entry.value, found->info, out}, to);
    to.written.keys.push_back({found->info.name, entry.value.where, out.size() == errors});
  }
}

}  // namespace

std::vector<SectionInfo> all_keys() {
  return {{"[daemon]", infos(kDaemonKeys)},
          {"[softnet]", infos(kSoftnetKeys)},
          {"[[pair]]", infos(kPairKeys)},
          {"[pair.a]", infos(kEndKeys)},
          {"[pair.a.metadata]", infos(kMetadataKeys)},
          {"[pair.a.xdp]", infos(kXdpKeys)}};
}

void read_section(const Table& entries, std::string_view section, Daemon& to, Diagnostics& out) {
  read_keys(kDaemonKeys, entries, section, to, out);
}
void read_section(const Table& entries, std::string_view section, Softnet& to, Diagnostics& out) {
  read_keys(kSoftnetKeys, entries, section, to, out);
}
void read_section(const Table& entries, std::string_view section, PairKeys& to, Diagnostics& out) {
  read_keys(kPairKeys, entries, section, to, out);
}
void read_section(const Table& entries, std::string_view section, End& to, Diagnostics& out) {
  read_keys(kEndKeys, entries, section, to, out);
}
void read_section(const Table& entries, std::string_view section, Metadata& to, Diagnostics& out) {
  read_keys(kMetadataKeys, entries, section, to, out);
}
void read_section(const Table& entries, std::string_view section, Xdp& to, Diagnostics& out) {
  read_keys(kXdpKeys, entries, section, to, out);
}

bool is_softnet_key(std::string_view name) {
  return std::ranges::any_of(kSoftnetKeys, [&](const auto& key) { return key.info.name == name; });
}

}  // namespace vethd::config

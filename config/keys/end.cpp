// [pair.a] and [pair.b]

#include <sys/socket.h>

#include <climits>
#include <limits>

#include "config/keys/af_xdp.hpp"
#include "config/keys/features.hpp"
#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"
#include "config/limits.hpp"
#include "config/literals.hpp"

namespace vethd::config {

namespace {

constexpr std::array kDrivers = {Choice<Driver>{"tap", Driver::tap},
                                 Choice<Driver>{"af_xdp", Driver::af_xdp}};

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

constexpr KeyInfo for_tap(KeyInfo key) {
  key.driver = Driver::tap;
  return key;
}

const std::array kCommonAndTapKeys = {
    Key<End>{{.name = "driver",
              .unit = "word",
              .standard = "\"tap\"",
              .example = "\"tap\"",
              .rule = "write \"tap\", or \"af_xdp\" for a device that exists",
              .help = "what carries the frames: a TAP that vethd makes, or AF_XDP sockets"},
             choice<&End::driver, kDrivers>},
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
              .help = "name of the interface: a TAP gets it, a device has it"},
             read_ifname},
    Key<End>{{.name = "mac",
              .unit = "address",
              .standard = "of host and pair",
              .example = "\"02:00:00:00:00:01\"",
              .rule = "write a unicast address that is not all zero",
              .help = "Ethernet address; left out, the same at each start: see below. The two ends "
                      "need different ones",
              .driver = Driver::tap},
             read_mac},
    Key<End>{{.name = "mtu",
              .unit = "bytes",
              .standard = "1500",
              .example = "1500",
              .min = kMinMtu,
              .max = kMaxTapMtu,
              .rule = "a TAP takes 65535 bytes less the 14 of the Ethernet header at most, and "
                      "Ethernet no less than 68",
              .help = "longest frame without its Ethernet header; with IPv6 at least 1280",
              .driver = Driver::tap},
             integer<&End::mtu>},
    Key<End>{{.name = "addresses",
              .unit = "address/prefix",
              .standard = "[]",
              .example = "[\"192.168.1.1/24\", \"fd00::1/64\"]",
              .rule = "write usable IPv4 or IPv6 unicast addresses with their prefix lengths",
              .help = "addresses set on the interface",
              .driver = Driver::tap},
             read_addresses},
    Key<End>{{.name = "queues",
              .unit = "queues",
              .standard = "1",
              .example = "1",
              .min = 1,
              .max = kMaxTapQueues,
              .rule = "a TAP has at most 256 queues, and a device gets no more sockets",
              .help = "queues of the TAP, or of the device, where all that receive need a socket; "
                      "queue i of both ends shares a worker"},
             integer<&End::queues>},
    Key<End>{{.name = "rps_cpus",
              .unit = "emulated CPU numbers",
              .standard = "[]",
              .example = "[0]",
              .min = 0,
              .max = kMaxWorkers - 1,
              .rule = "write emulated CPUs from 0 to workers - 1, each once, or such a list for "
                      "each queue",
              .help = "CPUs that RPS may choose for frames to this end, or `[[0], [1]]` for those "
                      "of each receive queue; empty: off"},
             cpu_masks<&End::rps_cpus>},
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
              .standard = "4096",
              .example = "4096",
              .min = 1,
              .max = kMaxTxQueueLen,
              .rule = "write a ring size in range: with no slot nothing gets through, and each "
                      "slot may hold 64 KiB of kernel memory that no sender is charged for",
              .help = "frames in the TAP's transmit ring",
              .driver = Driver::tap},
             integer<&End::txqueuelen>},
    Key<End>{kGro, boolean<&End::gro>},
    Key<End>{for_tap(kTso), boolean<&End::tso>},
    Key<End>{kRxUdpGroForwarding, boolean<&End::rx_udp_gro_forwarding>},
    Key<End>{kRxGroList, [](const Given& given, End&) { read_rx_gro_list(given); }},
};

const std::vector<Key<End>>& end_table() {
  static const std::vector<Key<End>> all = [] {
    std::vector<Key<End>> keys(kCommonAndTapKeys.begin(), kCommonAndTapKeys.end());
    keys.insert(keys.end(), af_xdp_keys().begin(), af_xdp_keys().end());
    return keys;
  }();
  return all;
}

}  // namespace

std::vector<KeyInfo> end_keys() { return infos(end_table()); }

std::optional<Driver> driver_of_end_key(std::string_view name) {
  const auto found =
      std::ranges::find(end_table(), name, [](const auto& key) { return key.info.name; });
  return found == end_table().end() ? std::nullopt : found->info.driver;
}

void read_section(const Table& entries, std::string_view section, End& to, Diagnostics& out) {
  read_keys(end_table(), entries, section, to, out);
}

}  // namespace vethd::config

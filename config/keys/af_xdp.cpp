#include "config/keys/af_xdp.hpp"

#include "config/limits.hpp"

namespace vethd::config {

namespace {

constexpr std::array kModes = {
    Choice<XdpMode>{"auto", XdpMode::automatic}, Choice<XdpMode>{"zerocopy", XdpMode::zerocopy},
    Choice<XdpMode>{"copy", XdpMode::copy}, Choice<XdpMode>{"generic", XdpMode::generic}};

/// A reader of AfXdp as one of its end.
template <auto Read>
void of_end(const Given& given, End& to) {
  Read(given, to.af_xdp);
}

/// Emulates  net/xdp/xsk.c: xsk_init_queue(), EINVAL.
template <auto Member>
void ring(const Given& given, End& to) {
  const auto number = integer_of(given, given.value);
  if (!number) return;
  const auto entries = static_cast<std::uint32_t>(*number);
  if (!std::has_single_bit(entries)) {
    return given.refuse(fmt::format("{} = {} is not a power of two", given.key.name, entries));
  }
  to.af_xdp.*Member = entries;
}

void read_steer_mac(const Given& given, const Value& value, Steer& to) {
  const auto* text = std::get_if<std::string>(&value.data);
  if (text == nullptr) return given.refuse(value, fmt::format("mac cannot be {}", kind_of(value)));
  const auto mac = parse_mac(*text);
  if (!mac) return given.refuse(value, fmt::format("{} is no MAC address", quote(*text)));
  if (!mac->is_valid()) {
    return given.refuse(value, fmt::format("{} is no unicast address", quote(*text)));
  }
  to.mac = *mac;
}

void read_steer_vlan(const Given& given, const Value& value, Steer& to) {
  const auto* vlan = std::get_if<std::int64_t>(&value.data);
  if (vlan == nullptr) return given.refuse(value, fmt::format("vlan cannot be {}", kind_of(value)));
  if (*vlan < 1 || *vlan > kMaxVlan) {
    return given.refuse(value, fmt::format("vlan = {} is not in 1..{}", *vlan, kMaxVlan));
  }
  to.vlan = static_cast<std::uint16_t>(*vlan);
}

void read_steer_table(const Given& given, const Table& table, End& to) {
  constexpr std::array<std::string_view, 3> kKnown = {"mac", "vlan", "multicast"};
  const std::size_t errors = given.out.size();
  Steer steer;
  for (const auto& [key, where, value] : table) {
    if (key == "mac") {
      read_steer_mac(given, value, steer);
    } else if (key == "vlan") {
      read_steer_vlan(given, value, steer);
    } else if (key != "multicast") {
      given.out.add(where, fmt::format("unknown key {} in steer", quote(key)),
                    suggest(key, kKnown));
    } else if (const auto* multicast = std::get_if<bool>(&value.data)) {
      steer.multicast = *multicast;
    } else {
      given.refuse(value, fmt::format("multicast cannot be {}", kind_of(value)));
    }
  }
  if (given.out.size() != errors) return;
  if (steer.multicast && !steer.mac) {
    return given.refuse("multicast without mac: all frames, or all of a VLAN, have it anyway");
  }
  if (steer.all()) return given.refuse("steer names neither mac nor vlan");
  to.af_xdp.steer = steer;
}

void read_steer(const Given& given, End& to) {
  if (const auto* table = std::get_if<Table>(&given.value.data)) {
    return read_steer_table(given, *table, to);
  }
  const std::string* text = string_of(given, given.value);
  if (text == nullptr) return;
  if (*text != "all") return given.refuse(fmt::format("steer = {} is not known", quote(*text)));
  to.af_xdp.steer = {};
}

constexpr KeyInfo ring_key(std::string_view name, std::string_view standard,
                           std::string_view help) {
  return {.name = name,
          .unit = "descriptors",
          .standard = standard,
          .example = standard,
          .min = kMinXskRing,
          .max = kMaxXskRing,
          .rule = "write a power of two in range, else the kernel answers EINVAL",
          .help = help,
          .driver = Driver::af_xdp};
}

constexpr std::array kKeys = {
    Key<End>{{.name = "mode",
              .unit = "word",
              .standard = "\"auto\"",
              .example = "\"zerocopy\"",
              .rule = "write \"auto\", \"zerocopy\", \"copy\" or \"generic\"",
              .help = "how frames come and go; \"auto\" takes the best that works and says which, "
                      "any other is had or is an error",
              .driver = Driver::af_xdp},
             of_end<choice<&AfXdp::mode, kModes, AfXdp>>},
    Key<End>{{.name = "steer",
              .unit = "\"all\" or a table",
              .standard = "\"all\"",
              .example = "{ mac = \"02:00:00:00:00:01\", vlan = 7, multicast = true }",
              .rule = "write \"all\", or a table of a unicast mac, a vlan from 1 to 4094, or both, "
                      "and multicast beside mac",
              .help = "which of the device's frames come to vethd; the others go on to the host's "
                      "stack",
              .driver = Driver::af_xdp},
             read_steer},
    Key<End>{{.name = "force",
              .unit = "boolean",
              .standard = "false",
              .example = "true",
              .rule = "write true or false",
              .help = "take the device even if a default route uses it",
              .driver = Driver::af_xdp},
             of_end<boolean<&AfXdp::force, AfXdp>>},
    Key<End>{ring_key("rx_ring", "2048", "received frames that wait for the worker, per queue"),
             ring<&AfXdp::rx_ring>},
    Key<End>{ring_key("tx_ring", "2048", "frames that wait for the device, per queue"),
             ring<&AfXdp::tx_ring>},
    Key<End>{ring_key("fill_ring", "4096",
                      "chunks of memory lent to the device, per queue; no fewer than rx_ring"),
             ring<&AfXdp::fill_ring>},
    Key<End>{ring_key("completion_ring", "2048",
                      "sent frames that wait for the worker, per queue; no fewer than tx_ring"),
             ring<&AfXdp::completion_ring>},
    Key<End>{{.name = "need_wakeup",
              .unit = "boolean",
              .standard = "true",
              .example = "false",
              .rule = "write true or false",
              .help = "the kernel says when it wants a system call; without, each batch makes one",
              .driver = Driver::af_xdp},
             of_end<boolean<&AfXdp::need_wakeup, AfXdp>>},
    Key<End>{{.name = "busy_poll_budget",
              .unit = "frames",
              .standard = "0",
              .example = "64",
              .min = 0,
              .max = kMaxBusyPollBudget,
              .rule = "write a number in range; 0 turns preferred busy polling off",
              .help = "frames that the driver handles in each call of a worker that is awake "
                      "(SO_PREFER_BUSY_POLL); its interrupts stay unless the device defers them",
              .driver = Driver::af_xdp},
             of_end<integer<&AfXdp::busy_poll_budget, AfXdp>>},
};

}  // namespace

std::span<const Key<End>> af_xdp_keys() { return kKeys; }

}  // namespace vethd::config

#include "config/parse.hpp"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "config/kernel.hpp"
#include "config/keys.hpp"
#include "config/limits.hpp"
#include "config/literals.hpp"
#include "config/suggest.hpp"
#include "config/toml.hpp"
#include "daemon/core/fd.hpp"

namespace vethd::config {

namespace {

constexpr std::string_view kDefaultMachine = "default";

bool is_reserved(std::string_view machine) {
  return machine == kDefaultMachine || std::ranges::any_of(kKernels, [&](const auto& kernel) {
           return machine == implicit_machine(kernel.second);
         });
}

/// What a pair says of both ends, unless the end says something itself.
struct SharedFeature {
  std::string_view name;
  std::optional<bool> PairKeys::* both;
  bool End::* own;
};
constexpr std::array kSharedFeatures = {
    SharedFeature{"gro", &PairKeys::gro, &End::gro},
    SharedFeature{"tso", &PairKeys::tso, &End::tso},
    SharedFeature{"rx_udp_gro_forwarding", &PairKeys::rx_udp_gro_forwarding,
                  &End::rx_udp_gro_forwarding},
};

class Parser {
 public:
  Parser(Config& config, Diagnostics& out) : config_(config), out_(out) {}

  void run(const Table& root) {
    constexpr std::array<std::string_view, 3> kSections = {"daemon", "softnet", "pair"};
    const Value* pairs = nullptr;
    config_.machines.emplace_back().name = kDefaultMachine;
    for (const Entry& entry : root) {
      if (entry.key == "daemon") {
        read_daemon(entry);
      } else if (entry.key == "softnet") {
        read_softnet(entry);
      } else if (entry.key == "pair") {
        pairs = &entry.value;
      } else {
        out_.add(entry.where, fmt::format("unknown section {}", quote(entry.key)),
                 suggest(entry.key, kSections));
      }
    }
    if (pairs != nullptr) {
      read_pairs(*pairs);  // last: they name machines
    } else {
      out_.add({}, "no [[pair]]", "write at least one");
    }
  }

 private:
  void read_daemon(const Entry& entry) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, "[daemon]");
    config_.daemon.written.section = entry.value.where;
    read_section(*table, "[daemon]", config_.daemon, out_);
  }

  void read_softnet(const Entry& entry) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, "[softnet]");
    Table keys;
    std::vector<const Entry*> machines;
    for (const Entry& inner : *table) {
      if (std::holds_alternative<Table>(inner.value.data) && !is_softnet_key(inner.key)) {
        machines.push_back(&inner);
      } else {
        keys.push_back(inner);
      }
    }
    Softnet& standard = config_.machines.front();
    standard.written.section = entry.value.where;
    read_section(keys, "[softnet]", standard, out_);
    set_default_budget(standard);
    for (const Entry* machine : machines) read_machine(*machine);
  }

  void read_machine(const Entry& entry) {
    if (!is_plain_name(entry.key) || is_reserved(entry.key)) {
      out_.add(entry.where, fmt::format("{} cannot be a machine's name", quote(entry.key)),
               "write 1 to 63 printable characters without '/' or blanks; \"default\" is [softnet] "
               "itself, \"kernel-V\" the machine of pairs with kernel = V");
      return;
    }
    Softnet machine = config_.machines.front();
    machine.name = entry.key;
    machine.written = {.keys = {}, .section = entry.value.where};
    read_section(std::get<Table>(entry.value.data), "[softnet." + entry.key + "]", machine, out_);
    set_default_budget(machine);
    config_.machines.push_back(std::move(machine));
  }

  /// The one default that depends on other keys; said in [softnet], it holds for all machines.
  void set_default_budget(Softnet& machine) {
    constexpr std::string_view kKey = "netdev_budget_usecs";
    if (machine.written.find(kKey) != nullptr) return;
    if (config_.machines.front().written.find(kKey) != nullptr) return;
    machine.netdev_budget_usecs = default_budget_usecs(machine.kernel, machine.hz);
  }

  void read_pairs(const Value& value) {
    const auto* array = std::get_if<Array>(&value.data);
    if (array == nullptr) {
      out_.add(value.where, fmt::format("pair cannot be {}", kind_of(value)),
               "write [[pair]], once for each pair");
      return;
    }
    if (array->empty()) out_.add(value.where, "no [[pair]]", "write at least one");
    for (const Value& element : *array) {
      if (const auto* table = std::get_if<Table>(&element.data)) {
        read_pair(*table, element.where);
      } else {
        out_.add(element.where, fmt::format("a pair cannot be {}", kind_of(element)),
                 "write [[pair]], once for each pair");
      }
    }
  }

  void read_pair(const Table& table, Location where) {
    PairKeys keys;
    keys.written.section = where;
    Pair pair;
    pair.where = where;
    std::optional<Location> a;
    std::optional<Location> b;
    Table own;
    for (const Entry& entry : table) {
      if (entry.key == "a") {
        a = entry.where;
        read_end(entry, "[pair.a]", pair.a);
      } else if (entry.key == "b") {
        b = entry.where;
        read_end(entry, "[pair.b]", pair.b);
      } else {
        own.push_back(entry);
      }
    }
    read_section(own, "[[pair]]", keys, out_);
    for (End* end : {&pair.a, &pair.b}) share_features(keys, *end);
    require(keys.written, "name", "a [[pair]]", "\"web\"");
    if (!a) out_.add(where, "a [[pair]] without [pair.a]", "write its end a");
    if (!b) out_.add(where, "a [[pair]] without [pair.b]", "write its end b");
    pair.name = keys.name;
    pair.machine = machine_of(keys);
    pair.coalesce = keys.coalesce;
    pair.written = std::move(keys.written);
    config_.pairs.push_back(std::move(pair));
  }

  void read_end(const Entry& entry, std::string_view section, End& end) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, section);
    end.where = entry.value.where;
    end.written.section = entry.value.where;
    Table own;
    for (const Entry& inner : *table) {
      if (inner.key == "metadata") {
        read_metadata(inner, inner_section(section, inner.key), end.metadata);
      } else if (inner.key == "xdp") {
        read_xdp(inner, inner_section(section, inner.key), end);
      } else {
        own.push_back(inner);
      }
    }
    read_section(own, section, end, out_);
    require(end.written, "ifname", section, "\"veth0\"");
  }

  static std::string inner_section(std::string_view section, std::string_view name) {
    return fmt::format("{}.{}]", section.substr(0, section.size() - 1), name);
  }

  void read_metadata(const Entry& entry, const std::string& section, Metadata& metadata) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, section);
    metadata.written.section = entry.value.where;
    read_section(*table, section, metadata, out_);
  }

  void read_xdp(const Entry& entry, const std::string& section, End& end) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, section);
    Xdp& xdp = end.xdp.emplace();
    xdp.where = entry.value.where;
    xdp.written.section = entry.value.where;
    read_section(*table, section, xdp, out_);
    require(xdp.written, "object", section, "\"prog.o\"");
    require(xdp.written, "program", section, "\"xdp_pass\"");
  }

  static void share_features(const PairKeys& keys, End& end) {
    for (const SharedFeature& feature : kSharedFeatures) {
      const Written::Key* both = keys.written.find(feature.name);
      if (both == nullptr || !both->accepted || end.written.find(feature.name) != nullptr) continue;
      if (driver_of_end_key(feature.name).value_or(end.driver) != end.driver) continue;
      end.*feature.own = *(keys.*feature.both);
      end.written.keys.push_back(*both);
    }
  }

  MachineId machine_of(const PairKeys& keys) {
    const auto* softnet = keys.written.find("softnet");
    const auto* kernel = keys.written.find("kernel");
    if (softnet != nullptr && kernel != nullptr) {
      out_.add(kernel->where, "a pair with both softnet and kernel",
               "keep one of them: a machine has its own kernel",
               Note{softnet->where, "softnet is here"});
    }
    if (!keys.softnet) return keys.kernel ? machine_of(*keys.kernel) : MachineId{0};
    const auto& machines = config_.machines;
    const auto found = std::ranges::find(machines, *keys.softnet, &Softnet::name);
    if (found != machines.end()) {
      return {static_cast<std::uint32_t>(found - machines.begin())};
    }
    std::vector<std::string_view> names;
    for (const Softnet& machine : machines) names.push_back(machine.name);
    out_.add(softnet->where, fmt::format("there is no machine {}", quote(*keys.softnet)),
             suggest(*keys.softnet, names));
    return {0};
  }

  /// The default machine where it has that version, else one with the version's defaults.
  MachineId machine_of(KernelVersion version) {
    auto& machines = config_.machines;
    if (machines.front().kernel == version) return {0};
    const std::string name = implicit_machine(version);
    const auto found = std::ranges::find(machines, name, &Softnet::name);
    const auto index = static_cast<std::uint32_t>(found - machines.begin());
    if (found == machines.end()) {
      Softnet& machine = machines.emplace_back();
      machine.name = name;
      machine.kernel = version;
      machine.netdev_budget_usecs = default_budget_usecs(version, machine.hz);
    }
    return {index};
  }

  void require(const Written& written, std::string_view key, std::string_view section,
               std::string_view example) {
    if (written.find(key) != nullptr) return;
    out_.add(written.section, fmt::format("{} without {}", section, key),
             fmt::format("write {} = {}", key, example));
  }

  void refuse_section(const Entry& entry, std::string_view section) {
    out_.add(entry.value.where, fmt::format("{} cannot be {}", entry.key, kind_of(entry.value)),
             fmt::format("write the section {}", section));
  }

  Config& config_;
  Diagnostics& out_;
};

/// The whole file, or one byte more than read_toml() accepts.
std::expected<std::string, int> read_file(const std::string& file) {
  const Fd fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd.is_open()) return std::unexpected(errno);
  std::string text(kMaxFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

}  // namespace

std::expected<Config, Diagnostics> parse(std::string_view text, std::string file,
                                         const Host& host) {
  Diagnostics out(file, text);
  Config config;
  config.file = std::move(file);
  const auto root = read_toml(text, out);
  if (!root) return std::unexpected(std::move(out));
  Parser(config, out).run(*root);
  validate(config, host, out);
  if (!out.empty()) return std::unexpected(std::move(out));
  return config;
}

std::expected<Config, Diagnostics> load(const std::string& file, const Host& host) {
  const auto text = read_file(file);
  if (text) return parse(*text, file, host);
  Diagnostics out(file);
  out.add({}, fmt::format("cannot be read: {}", std::generic_category().message(text.error())),
          "give --config a readable file");
  return std::unexpected(std::move(out));
}

}  // namespace vethd::config

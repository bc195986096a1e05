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

#include "config/keys.hpp"
#include "config/limits.hpp"
#include "config/literals.hpp"
#include "config/suggest.hpp"
#include "config/toml.hpp"
#include "daemon/core/fd.hpp"

namespace vethd::config {

namespace {

constexpr std::string_view kDefaultMachine = "default";

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
    for (const Entry* machine : machines) read_machine(*machine);
  }

  void read_machine(const Entry& entry) {
    if (!is_plain_name(entry.key) || entry.key == kDefaultMachine) {
      out_.add(entry.where, fmt::format("{} cannot be a machine's name", quote(entry.key)),
               "write 1 to 63 printable characters without '/' or blanks; \"default\" is [softnet] "
               "itself");
      return;
    }
    Softnet machine = config_.machines.front();
    machine.name = entry.key;
    machine.written = {.keys = {}, .section = entry.value.where};
    read_section(std::get<Table>(entry.value.data), "[softnet." + entry.key + "]", machine, out_);
    config_.machines.push_back(std::move(machine));
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
    require(keys.written, "name", "a [[pair]]", "\"web\"");
    if (!a) out_.add(where, "a [[pair]] without [pair.a]", "write its end a");
    if (!b) out_.add(where, "a [[pair]] without [pair.b]", "write its end b");
    pair.name = keys.name;
    pair.machine = machine_of(keys);
    pair.written = std::move(keys.written);
    config_.pairs.push_back(std::move(pair));
  }

  void read_end(const Entry& entry, std::string_view section, End& end) {
    const auto* table = std::get_if<Table>(&entry.value.data);
    if (table == nullptr) return refuse_section(entry, section);
    end.where = entry.value.where;
    end.written.section = entry.value.where;
    read_section(*table, section, end, out_);
    require(end.written, "ifname", section, "\"veth0\"");
  }

  /// A pair's kernel without softnet means the implicit machine of that version. While one version
  /// is emulated, every machine has it, and the implicit one is the default machine itself.
  MachineId machine_of(const PairKeys& keys) {
    static_assert(static_cast<int>(KernelVersion::v6_18) == 0);
    const auto* softnet = keys.written.find("softnet");
    const auto* kernel = keys.written.find("kernel");
    if (softnet != nullptr && kernel != nullptr) {
      out_.add(kernel->where, "a pair with both softnet and kernel",
               "keep one of them: a machine has its own kernel",
               Note{softnet->where, "softnet is here"});
    }
    if (!keys.softnet) return {0};
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

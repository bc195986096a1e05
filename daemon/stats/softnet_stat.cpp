#include "daemon/stats/softnet_stat.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

namespace vethd {
namespace {

namespace json = boost::json;

struct Row {
  SoftnetCounters counters;
  std::uint64_t cpu;
};

/// The columns in their order; each kernel writes those it knows, from the left.
struct Column {
  std::string_view name;
  std::uint64_t (*value)(const Row&);  // nullptr: always 0
};
constexpr Column kUnused{"", nullptr};
constexpr std::array kColumns = {
    Column{"processed", [](const Row& row) { return row.counters.processed; }},
    Column{"dropped", [](const Row& row) { return row.counters.dropped; }},
    Column{"time_squeeze", [](const Row& row) { return row.counters.time_squeeze; }},
    kUnused,
    kUnused,
    kUnused,
    kUnused,
    kUnused,
    kUnused,
    Column{"received_rps", [](const Row& row) { return row.counters.received_rps; }},
    Column{"flow_limit_count", [](const Row& row) { return row.counters.flow_limit_count; }},
    Column{"backlog_len",  // softnet_backlog_len()
           [](const Row& row) { return row.counters.input_qlen + row.counters.process_qlen; }},
    Column{"cpu", [](const Row& row) { return row.cpu; }},
    Column{"input_qlen", [](const Row& row) { return row.counters.input_qlen; }},
    Column{"process_qlen", [](const Row& row) { return row.counters.process_qlen; }},
};

std::string row_text(const json::object& cpu) {
  std::string line;
  for (const Column& column : kColumns) {
    std::uint64_t value = 0;
    if (column.value != nullptr) {
      const json::value* found = cpu.if_contains(column.name);
      if (found == nullptr) break;  // the kernel stops here
      value = found->to_number<std::uint64_t>();
    }
    std::array<char, 10> cell{};  // a blank, 8 digits, 0
    std::snprintf(cell.data(), cell.size(), " %08" PRIx32, static_cast<std::uint32_t>(value));
    line += line.empty() ? &cell[1] : cell.data();
  }
  return line + '\n';
}

}  // namespace

json::object softnet_json(const std::vector<SoftnetStatReport>& machines) {
  json::array all;
  for (const SoftnetStatReport& machine : machines) {
    json::array cpus;
    for (const SoftnetCounters& counters : machine.cpus) {
      const Row row{.counters = counters, .cpu = cpus.size()};
      json::object out;
      for (std::size_t i = 0; i < machine.columns; ++i)
        if (kColumns[i].value != nullptr) out[kColumns[i].name] = kColumns[i].value(row);
      cpus.push_back(std::move(out));
    }
    all.push_back(
        {{"machine", machine.machine}, {"kernel", machine.kernel}, {"cpus", std::move(cpus)}});
  }
  return {{"machines", std::move(all)}};
}

std::string softnet_text(const json::object& softnet) {
  std::string text;
  const json::array& machines = softnet.at("machines").as_array();
  for (const json::value& machine : machines) {
    if (machines.size() > 1) text += std::string(machine.at("machine").as_string()) + ":\n";
    for (const json::value& cpu : machine.at("cpus").as_array()) text += row_text(cpu.as_object());
  }
  return text;
}

}  // namespace vethd

#include "daemon/control/settings.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/suggest.hpp"
#include "daemon/control/end_table.hpp"

namespace vethd {
namespace {

namespace json = boost::json;

std::unexpected<std::string> refuse(std::string doing, const Error& why) {
  Error error = why;
  error.doing = std::move(doing);
  return std::unexpected(error.text());
}

std::unexpected<std::string> unknown(std::string_view what, const std::string& name,
                                     const std::vector<std::string_view>& known) {
  return std::unexpected("there is no " + std::string(what) + " '" + name + "'; " +
                         config::suggest(name, known));
}

/// What sysctl(8) says of a name that is no file.
std::string no_such_sysctl(std::string name) {
  std::ranges::replace(name, '.', '/');
  std::vector<std::string_view> known;
  for (const SysctlEntry& entry : sysctl_table()) known.push_back(entry.name);
  return Error{.code = ENOENT,
               .doing = "cannot stat /proc/sys/" + name,
               .hint = config::suggest(name.substr(name.find_last_of('/') + 1), known)}
      .text();
}

}  // namespace

Sysctls sysctls_of(const config::Softnet& softnet) {
  return {.netdev_max_backlog = softnet.netdev_max_backlog,
          .netdev_budget = softnet.netdev_budget,
          .netdev_budget_usecs = softnet.netdev_budget_usecs,
          .dev_weight = softnet.dev_weight,
          .dev_weight_rx_bias = softnet.dev_weight_rx_bias,
          .rps_sock_flow_entries = softnet.rps_sock_flow_entries,
          .flow_limit_cpu_bitmap = softnet.flow_limit_cpu_bitmap,
          .flow_limit_table_len = softnet.flow_limit_table_len};
}

Settings::Settings(const config::Config& config, Pairs& pairs, WorkerSet& workers)
    : pairs_(pairs), workers_(workers) {
  for (const config::Softnet& softnet : config.machines)
    machines_.push_back(
        {.id = {static_cast<std::uint32_t>(machines_.size())},
         .name = softnet.name,
         .kernel = {.version = softnet.kernel, .hz = softnet.hz, .cpus = config.daemon.workers},
         .sysctls = sysctls_of(softnet)});
}

Settings::Emulated* Settings::find_machine(const std::string& name) {
  const auto found = std::ranges::find(machines_, name, &Emulated::name);
  return found == machines_.end() ? nullptr : &*found;
}

void Settings::sysctl(const Request& request, const Reply& reply) {
  Emulated* const machine = request.machine ? find_machine(*request.machine) : &machines_.front();
  if (machine == nullptr) {
    std::vector<std::string_view> names;
    for (const Emulated& known : machines_) names.push_back(known.name);
    return reply(unknown("machine", *request.machine, names));
  }
  json::object values;
  const auto show = [&](const SysctlEntry& entry) {
    values[full_name(entry)] = entry.read(machine->sysctls, machine->kernel);
  };
  const auto answer = [&] { return json::object{{"machine", machine->name}, {"values", values}}; };
  if (!request.name) {
    for (const SysctlEntry& entry : sysctl_table()) show(entry);
    return reply(answer());
  }
  const SysctlEntry* const entry = find_sysctl(*request.name);
  if (entry == nullptr) return reply(std::unexpected(no_such_sysctl(*request.name)));
  const std::uint32_t flows_before = machine->sysctls.rps_sock_flow_entries;
  if (request.value) {
    const auto written = entry->write(machine->sysctls, *request.value, machine->kernel);
    if (!written) return reply(refuse("setting key \"" + *request.name + "\"", written.error()));
  }
  show(*entry);
  if (!request.value) return reply(answer());
  std::shared_ptr<SockFlowTable> flows;
  if (const std::uint32_t entries = machine->sysctls.rps_sock_flow_entries;
      entries != 0 && entries != flows_before)
    flows = std::make_shared<SockFlowTable>(entries, workers_.size());
  workers_.tell(SetSysctls{machine->id, machine->sysctls, std::move(flows)},
                [reply, result = answer()](const auto&) { reply(result); });
}

void Settings::set(const Request& request, const Reply& reply) {
  VethPair* const pair = pairs_.find(*request.pair);
  if (pair == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& known : pairs_.all())
      if (known != nullptr && !known->removing) names.push_back(known->name);
    return reply(unknown("pair", *request.pair, names));
  }
  if (*request.end != "a" && *request.end != "b")
    return reply(unknown("end", *request.end, {"a", "b"}));
  const Side side = *request.end == "a" ? Side::a : Side::b;
  config::End end = pair->end(side).config;
  const auto key = find_end_key(*request.name, end);
  if (!key) {
    std::vector<std::string_view> names;
    for (const EndEntry& known : end_table()) names.push_back(known.name);
    return reply(unknown("key", *request.name, names));
  }
  const auto cpus = static_cast<std::uint32_t>(workers_.size());
  if (const auto written = key->entry->write(end, key->queue, *request.value, cpus); !written)
    return reply(refuse("setting " + *request.name + " of " + *request.pair + " " + *request.end,
                        written.error()));
  json::object answer{{"pair", *request.pair},
                      {"end", *request.end},
                      {"values", json::object{{*request.name, key->entry->read(end, key->queue)}}}};
  pairs_.change(*pair, side, std::move(end),
                [reply, answer = std::move(answer)] { reply(answer); });
}

}  // namespace vethd

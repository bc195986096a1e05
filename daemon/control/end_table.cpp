#include "daemon/control/end_table.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "config/limits.hpp"
#include "daemon/control/number.hpp"

namespace vethd {
namespace {

constexpr std::string_view kOneQueue = "rx-";  // queues/rx-N of a device in sysfs

/// Written to all queues, it reads alike of each.
std::string read_rps_cpus(const config::End& end, std::optional<std::uint32_t> queue) {
  if (end.rps_cpus.empty()) return {};
  std::string text;
  for (const CpuId cpu : end.rps_cpus[end.rps_cpus.size() == 1 ? 0 : queue.value_or(0)]) {
    if (!text.empty()) text += ',';
    text += std::to_string(cpu.value);
  }
  return text;
}

/// "0,1"; empty: no RPS. Unlike the kernel, which ignores CPUs that are not there, and like the
/// configuration, refuses them.
Result<void> write_rps_cpus(config::End& end, std::optional<std::uint32_t> queue,
                            std::string_view text, std::uint32_t cpus) {
  const auto refuse = [&] {
    return fail("", fmt::format("CPUs from 0 to {}, as in 0,1", cpus - 1), EINVAL);
  };
  if (text.find_first_not_of("0123456789,") != std::string_view::npos || text.ends_with(','))
    return refuse();
  std::vector<CpuId> list;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const auto number = parse_int(text.substr(0, comma));
    if (!number || static_cast<std::uint32_t>(*number) >= cpus) return refuse();
    list.push_back({static_cast<std::uint32_t>(*number)});
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  }
  std::ranges::sort(list);
  list.erase(std::ranges::unique(list).begin(), list.end());
  if (!queue) {
    end.rps_cpus.clear();
    if (!list.empty()) end.rps_cpus.push_back(std::move(list));
    return {};
  }
  if (end.rps_cpus.size() != end.queues)
    end.rps_cpus.resize(end.queues, end.rps_cpus.empty() ? std::vector<CpuId>{} : end.rps_cpus[0]);
  end.rps_cpus[*queue] = std::move(list);
  if (std::ranges::all_of(end.rps_cpus, &std::vector<CpuId>::empty)) end.rps_cpus.clear();
  return {};
}

std::string read_rps_flow_cnt(const config::End& end, std::optional<std::uint32_t> /*queue*/) {
  return std::to_string(end.rps_flow_cnt);
}

/// Emulates  store_rps_dev_flow_table_cnt(): rounded up to a power of two.
Result<void> write_rps_flow_cnt(config::End& end, std::optional<std::uint32_t> /*queue*/,
                                std::string_view text, std::uint32_t /*cpus*/) {
  const auto number = parse_int(text);
  if (!number || *number < 0 || *number > config::kMaxFlowEntries)
    return fail("", fmt::format("from 0 to {}", config::kMaxFlowEntries), EINVAL);
  const auto flows = static_cast<std::uint32_t>(*number);
  if (std::uint64_t{flows} * end.queues > config::kMaxFlowEntries)
    return fail("", fmt::format("{} flows for all queues together", config::kMaxFlowEntries),
                ENOMEM);
  end.rps_flow_cnt = flows == 0 ? 0 : std::bit_ceil(flows);
  return {};
}

constexpr std::array kTable = {
    EndEntry{"rps_cpus", true, read_rps_cpus, write_rps_cpus},
    EndEntry{"rps_flow_cnt", false, read_rps_flow_cnt, write_rps_flow_cnt},
};

}  // namespace

std::span<const EndEntry> end_table() { return kTable; }

std::optional<EndKey> find_end_key(std::string_view name, const config::End& end) {
  EndKey key;
  if (const std::size_t slash = name.find('/');
      slash != std::string_view::npos && name.starts_with(kOneQueue)) {
    const auto queue = parse_int(name.substr(kOneQueue.size(), slash - kOneQueue.size()));
    if (!queue || *queue < 0 || static_cast<std::uint32_t>(*queue) >= end.queues) return {};
    key.queue = static_cast<std::uint32_t>(*queue);
    name.remove_prefix(slash + 1);
  }
  const auto* const found = std::ranges::find(kTable, name, &EndEntry::name);
  if (found == kTable.end() || (key.queue && !found->per_queue)) return {};
  key.entry = found;
  return key;
}

}  // namespace vethd

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

std::string read_rps_cpus(const config::End& end) {
  std::string text;
  for (const CpuId cpu : end.rps_cpus) {
    if (!text.empty()) text += ',';
    text += std::to_string(cpu.value);
  }
  return text;
}

/// "0,1"; empty: no RPS. Unlike the kernel, which ignores CPUs that are not there, and like the
/// configuration, refuses them.
Result<void> write_rps_cpus(config::End& end, std::string_view text, std::uint32_t cpus) {
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
  end.rps_cpus = std::move(list);
  return {};
}

std::string read_rps_flow_cnt(const config::End& end) { return std::to_string(end.rps_flow_cnt); }

/// Emulates  store_rps_dev_flow_table_cnt(): rounded up to a power of two.
Result<void> write_rps_flow_cnt(config::End& end, std::string_view text, std::uint32_t /*cpus*/) {
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
    EndEntry{"rps_cpus", read_rps_cpus, write_rps_cpus},
    EndEntry{"rps_flow_cnt", read_rps_flow_cnt, write_rps_flow_cnt},
};

}  // namespace

std::span<const EndEntry> end_table() { return kTable; }

}  // namespace vethd

#include "daemon/control/sysctl_table.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "config/kernel.hpp"
#include "config/limits.hpp"
#include "daemon/control/number.hpp"

namespace vethd {
namespace {

constexpr std::string_view kPrefix = "net.core.";
constexpr std::uint32_t kMaxSockFlowEntries = 1U << 29;  // the kernel's own

std::unexpected<Error> refuse(std::string rule, int code = EINVAL) {
  return fail("", std::move(rule), code);
}

/// The integer from least upwards.
Result<std::int32_t> int_from(std::string_view text, std::int32_t least) {
  const auto number = parse_int(text);
  if (number && *number >= least) return *number;
  return refuse(least == std::numeric_limits<std::int32_t>::min()
                    ? "an integer of 32 bits"
                    : fmt::format("an integer of 32 bits, at least {}", least));
}

template <auto Member>
std::string read_number(const Sysctls& sysctls, const EmulatedKernel& /*kernel*/) {
  return std::to_string(sysctls.*Member);
}

/// The kernel takes any int, whatever comes of it.
template <auto Member>
Result<void> write_unchecked(Sysctls& sysctls, std::string_view text,
                             const EmulatedKernel& /*kernel*/) {
  const auto number = int_from(text, std::numeric_limits<std::int32_t>::min());
  if (!number) return std::unexpected(number.error());
  sysctls.*Member = *number;
  return {};
}

/// Emulates  proc_do_dev_weight().
template <auto Member>
Result<void> write_weight(Sysctls& sysctls, std::string_view text, const EmulatedKernel& kernel) {
  const auto number = int_from(text, config::wants_positive_weights(kernel.version)
                                         ? 1
                                         : std::numeric_limits<std::int32_t>::min());
  if (!number) return std::unexpected(number.error());
  sysctls.*Member = *number;
  return {};
}

std::string read_budget_usecs(const Sysctls& sysctls, const EmulatedKernel& /*kernel*/) {
  return std::to_string(sysctls.netdev_budget_usecs.count());
}

Result<void> write_budget_usecs(Sysctls& sysctls, std::string_view text,
                                const EmulatedKernel& kernel) {
  const auto least = config::least_budget_usecs(kernel.version, kernel.hz).count();
  const auto number = int_from(text, static_cast<std::int32_t>(least));
  if (!number) return std::unexpected(number.error());
  sysctls.netdev_budget_usecs = std::chrono::microseconds(*number);
  return {};
}

/// Emulates  rps_sock_flow_sysctl().
Result<void> write_sock_flow_entries(Sysctls& sysctls, std::string_view text,
                                     const EmulatedKernel& /*kernel*/) {
  const auto number = parse_int(text);
  if (!number || static_cast<std::uint32_t>(*number) > kMaxSockFlowEntries)
    return refuse(fmt::format("from 0 to {}", kMaxSockFlowEntries));
  if (*number > config::kMaxFlowEntries)
    return refuse(fmt::format("vethd makes tables of at most {} entries", config::kMaxFlowEntries),
                  ENOMEM);
  const auto entries = static_cast<std::uint32_t>(*number);
  sysctls.rps_sock_flow_entries = entries == 0 ? 0 : std::bit_ceil(entries);
  return {};
}

std::string read_flow_limit_cpus(const Sysctls& sysctls, const EmulatedKernel& kernel) {
  return cpu_mask_text(sysctls.flow_limit_cpu_bitmap, kernel.cpus);
}

/// Emulates  flow_limit_cpu_sysctl().
Result<void> write_flow_limit_cpus(Sysctls& sysctls, std::string_view text,
                                   const EmulatedKernel& kernel) {
  auto mask = parse_cpu_mask(text, kernel.cpus);
  if (!mask) return pass(std::move(mask));
  sysctls.flow_limit_cpu_bitmap = std::move(*mask);
  return {};
}

/// Emulates  flow_limit_table_len_sysctl().
Result<void> write_flow_limit_table_len(Sysctls& sysctls, std::string_view text,
                                        const EmulatedKernel& /*kernel*/) {
  const auto number = parse_int(text);
  if (!number || *number <= 0 || !std::has_single_bit(static_cast<std::uint32_t>(*number)))
    return refuse("a power of two");
  if (*number > config::kMaxFlowLimitTable)
    return refuse(fmt::format("vethd makes tables of at most {} buckets, as many as the kernel's "
                              "history can tell apart",
                              config::kMaxFlowLimitTable),
                  ENOMEM);
  sysctls.flow_limit_table_len = static_cast<std::uint32_t>(*number);
  return {};
}

// In alphabetical order, as `sysctl net.core` lists them.
constexpr std::array kTable = {
    SysctlEntry{"dev_weight", read_number<&Sysctls::dev_weight>,
                write_weight<&Sysctls::dev_weight>},
    SysctlEntry{"dev_weight_rx_bias", read_number<&Sysctls::dev_weight_rx_bias>,
                write_weight<&Sysctls::dev_weight_rx_bias>},
    SysctlEntry{"flow_limit_cpu_bitmap", read_flow_limit_cpus, write_flow_limit_cpus},
    SysctlEntry{"flow_limit_table_len", read_number<&Sysctls::flow_limit_table_len>,
                write_flow_limit_table_len},
    SysctlEntry{"netdev_budget", read_number<&Sysctls::netdev_budget>,
                write_unchecked<&Sysctls::netdev_budget>},
    SysctlEntry{"netdev_budget_usecs", read_budget_usecs, write_budget_usecs},
    SysctlEntry{"netdev_max_backlog", read_number<&Sysctls::netdev_max_backlog>,
                write_unchecked<&Sysctls::netdev_max_backlog>},
    SysctlEntry{"rps_sock_flow_entries", read_number<&Sysctls::rps_sock_flow_entries>,
                write_sock_flow_entries},
};

}  // namespace

std::span<const SysctlEntry> sysctl_table() { return kTable; }

const SysctlEntry* find_sysctl(std::string_view name) {
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  const auto* const found = std::ranges::find(kTable, name, &SysctlEntry::name);
  return found == kTable.end() ? nullptr : found;
}

std::string full_name(const SysctlEntry& entry) {
  return std::string(kPrefix) + std::string(entry.name);
}

}  // namespace vethd

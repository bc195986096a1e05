// What the kernels that can be emulated are called, and which settings they accept: for the file
// and for `vethctl sysctl` alike.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "config/schema.hpp"

namespace vethd::config {

inline constexpr std::array<std::pair<std::string_view, KernelVersion>, 5> kKernels = {{
    {"4.14", KernelVersion::v4_14},
    {"5.4", KernelVersion::v5_4},
    {"6.1", KernelVersion::v6_1},
    {"6.12", KernelVersion::v6_12},
    {"6.18", KernelVersion::v6_18},
}};

constexpr std::string_view name_of(KernelVersion version) {
  return kKernels[static_cast<std::size_t>(version)].first;
}

/// The machine that a pair joins by naming a version alone.
inline std::string implicit_machine(KernelVersion version) {
  return "kernel-" + std::string(name_of(version));
}

/// In whole microseconds, as the kernel divides: 6666 at HZ = 300.
constexpr std::chrono::microseconds two_jiffies(std::uint32_t hz) {
  return std::chrono::microseconds(2'000'000 / hz);
}

/// Emulates  net/core/dev.c: netdev_budget_usecs as a fresh kernel has it.
constexpr std::chrono::microseconds default_budget_usecs(KernelVersion version, std::uint32_t hz) {
  return version == KernelVersion::v4_14 ? std::chrono::microseconds(2000) : two_jiffies(hz);
}

/// Emulates  net/core/sysctl_net_core.c: the least netdev_budget_usecs; below, EINVAL.
constexpr std::chrono::microseconds least_budget_usecs(KernelVersion version, std::uint32_t hz) {
  return version < KernelVersion::v6_1 ? std::chrono::microseconds(0) : two_jiffies(hz);
}

/// Emulates  net/core/net-procfs.c: columns in a row of /proc/net/softnet_stat.
constexpr std::size_t softnet_stat_columns(KernelVersion version) {
  if (version < KernelVersion::v6_1) return 11;
  return version < KernelVersion::v6_12 ? 13 : 15;
}

/// Emulates  net/core/sysctl_net_core.c: proc_do_dev_weight() refuses weights below 1, in the
///           long-term kernels 6.1 and 6.12 by a backport.
constexpr bool wants_positive_weights(KernelVersion version) {
  return version >= KernelVersion::v6_1;
}

}  // namespace vethd::config

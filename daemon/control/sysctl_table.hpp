// The sysctls of an emulated machine, declared once: what vethctl lists, reads and sets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/schema.hpp"
#include "daemon/core/result.hpp"
#include "daemon/pipeline/sysctls.hpp"

namespace vethd {

/// What the rules depend on besides the value.
struct EmulatedKernel {
  config::KernelVersion version{};
  std::uint32_t hz = 250;
  std::uint32_t cpus = 1;
};

/// One file below /proc/sys/net/core.
///
/// Emulates  net/core/sysctl_net_core.c: net_core_table, and what the handlers refuse.
struct SysctlEntry {
  std::string_view name;  // "netdev_budget"
  /// As the file reads, without its newline.
  std::string (*read)(const Sysctls& sysctls, const EmulatedKernel& kernel);
  /// Takes the value, or leaves all as it was.
  ///
  /// Errors  the kernel's errno, with the rule; ENOMEM for what the kernel would try to allocate
  ///         and vethd does not.
  Result<void> (*write)(Sysctls& sysctls, std::string_view text, const EmulatedKernel& kernel);
};

std::span<const SysctlEntry> sysctl_table();

/// The entry of "net.core.netdev_budget"; nullptr: there is none.
const SysctlEntry* find_sysctl(std::string_view name);

/// With the prefix that vethctl and sysctl(8) show.
std::string full_name(const SysctlEntry& entry);

}  // namespace vethd

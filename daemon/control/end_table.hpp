// What can be set on an end of a pair while it runs, declared once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/schema.hpp"
#include "daemon/core/result.hpp"

namespace vethd {

/// A key of [pair.a].
///
/// Emulates  net/core/net-sysfs.c: the files of queues/rx-N, of all queues at once.
struct EndEntry {
  std::string_view name;
  std::string (*read)(const config::End& end);
  /// Errors  errno and the rule; the end stays as it was.
  Result<void> (*write)(config::End& end, std::string_view text, std::uint32_t cpus);
};

std::span<const EndEntry> end_table();

}  // namespace vethd

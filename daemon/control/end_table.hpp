// What can be set on an end of a pair while it runs, declared once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/schema.hpp"
#include "daemon/core/result.hpp"

namespace vethd {

/// A key of [pair.a].
///
/// Emulates  net/core/net-sysfs.c: the files of queues/rx-N; of all queues at once, or of one.
struct EndEntry {
  std::string_view name;
  bool per_queue;  // can be set of one queue, as "rx-1/NAME"
  std::string (*read)(const config::End& end, std::optional<std::uint32_t> queue);
  /// Shape   queue: below end.queues; nothing: all.
  /// Errors  errno and the rule; the end stays as it was.
  Result<void> (*write)(config::End& end, std::optional<std::uint32_t> queue, std::string_view text,
                        std::uint32_t cpus);
};

std::span<const EndEntry> end_table();

/// "rps_cpus", or "rx-1/rps_cpus" of one receive queue.
struct EndKey {
  const EndEntry* entry = nullptr;
  std::optional<std::uint32_t> queue;
};
/// Nothing: the end has no such key, or no such queue.
std::optional<EndKey> find_end_key(std::string_view name, const config::End& end);

}  // namespace vethd

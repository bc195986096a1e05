// What keeps a network namespace alive beside ourselves, as far as it can be seen.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "daemon/netns/file_id.hpp"

namespace vethd {

/// Where namespaces are mounted in our mount namespace, by inode number: what `ip netns` and
/// container engines call their names. Nothing if that cannot be read.
std::optional<std::unordered_map<ino_t, std::string>> mounted_namespaces();

/// Namespaces some thread lives in, of those we may look at: the rest needs CAP_SYS_PTRACE. Nothing
/// if /proc cannot be read.
std::optional<std::unordered_set<ino_t>> inhabited_namespaces();

/// A path through /proc at which a process has this namespace: an open descriptor, or a mount in
/// its own mount namespace. Reads every descriptor of every process: only where nothing else tells.
std::optional<std::string> path_to_namespace(const NetnsId& id);

/// Whether this path leads to that namespace. Symbolic links, and those of /proc, are followed.
bool leads_to(const std::string& path, const NetnsId& id);

}  // namespace vethd

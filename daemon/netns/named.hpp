// Network namespaces with a name in /run/netns, where `ip netns` finds them.
#pragma once

#include <functional>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/netns/file_id.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// /run/netns/NAME
std::string netns_path(const std::string& name);

/// A namespace and the file it is mounted on: enough to remove exactly this one later.
struct NamedNetns {
  std::string name;
  NetnsId netns;  // what is mounted
  FileId file;    // what it is mounted on
};

/// Told what is about to appear in /run/netns; an error stops the creation.
using AnnounceNetns = std::function<Result<void>(const NamedNetns&)>;

/// Makes a network namespace with `lo` up and gives it a name, as `ip netns add` does.
///
/// announce is called when both identities are known and before the name exists, so that whoever
/// removes it (the janitor) knows it in time. When the creation fails afterwards, nothing is left
/// in /run/netns but the announcement.
///
/// Leaves   /run/netns itself behind, a shared mount point, for others may use it by then.
/// Threads  a short-lived helper thread enters the new namespace, the caller stays where it is.
/// Errors   EEXIST if the name is taken.
Result<Netns> create_named(const std::string& name, const AnnounceNetns& announce);

/// Removes the name, if it still stands for this namespace; succeeds also if it does not.
/// The namespace itself ends with its last user.
Result<void> remove_named(const NamedNetns& named);

}  // namespace vethd

#include "config/memory.hpp"

#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace vethd::config {
namespace {

namespace fs = std::filesystem;

/// MemTotal of /proc/meminfo, in kB.
MemoryLimit of_machine(const fs::path& root) {
  std::ifstream lines(root / "proc/meminfo");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kib = 0;
    if (words >> name >> kib && name == "MemTotal:")
      return {.bytes = kib << 10, .who = "the memory of this machine", .can_be_raised = false};
  }
  return {};
}

/// How a version of cgroups limits memory.
struct Version {
  const char* mount;
  const char* file;  // a number; anything else, or one beyond all memory, is no limit
};
constexpr Version kOne{.mount = "sys/fs/cgroup/memory", .file = "memory.limit_in_bytes"};
constexpr Version kTwo{.mount = "sys/fs/cgroup", .file = "memory.max"};

/// A line of /proc/self/cgroup, "4:memory:/path" or "0::/path".
struct Membership {
  Version version;
  fs::path cgroup;
};
std::optional<Membership> membership(const std::string& line) {
  constexpr std::string_view kTwoPrefix = "0::";
  if (line.starts_with(kTwoPrefix))
    return Membership{.version = kTwo, .cgroup = line.substr(kTwoPrefix.size())};
  const std::size_t controllers = line.find(':');
  const std::size_t path = line.find(':', controllers + 1);
  if (controllers == line.npos || path == line.npos) return std::nullopt;
  const std::string list = "," + line.substr(controllers + 1, path - controllers - 1) + ",";
  if (list.find(",memory,") == list.npos) return std::nullopt;
  return Membership{.version = kOne, .cgroup = line.substr(path + 1)};
}

/// Up to the root of what this process sees, which in a container is a cgroup like others.
void lower_to_cgroups(MemoryLimit& least, const fs::path& root, const Membership& member) {
  for (fs::path cgroup = member.cgroup; !cgroup.empty(); cgroup = cgroup.parent_path()) {
    std::uint64_t bytes = 0;
    std::ifstream limit(root / member.version.mount / cgroup.relative_path() / member.version.file);
    if (limit >> bytes && (least.bytes == 0 || bytes < least.bytes))
      least = {.bytes = bytes,
               .who = std::string(member.version.file) + " of cgroup " + cgroup.string(),
               .can_be_raised = true};
    if (cgroup == cgroup.root_path()) return;
  }
}

}  // namespace

MemoryLimit memory_limit(const fs::path& root) {
  MemoryLimit least = of_machine(root);
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);)
    if (const auto member = membership(line)) lower_to_cgroups(least, root, *member);
  return least;
}

}  // namespace vethd::config

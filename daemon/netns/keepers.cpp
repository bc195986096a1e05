#include "daemon/netns/keepers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string_view>
#include <system_error>

namespace vethd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRoot = "net:[";  // and the inode number: how /proc shows one

/// Calls visit with /proc/PID until it returns true. False: /proc cannot be read.
bool for_each_process(const std::function<bool(const fs::path&)>& visit) {
  std::error_code error;
  for (fs::directory_iterator process("/proc", error);
       !error && process != fs::directory_iterator(); process.increment(error)) {
    const std::string name = process->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (visit(process->path())) return true;
  }
  return !error;
}

/// Lines of mountinfo whose fourth word, the root, is like "net:[4026532177]"; the fifth is the
/// place.
std::optional<std::unordered_map<ino_t, std::string>> namespaces_in(const fs::path& mountinfo) {
  std::unordered_map<ino_t, std::string> found;
  std::ifstream mounts(mountinfo);
  if (!mounts) return std::nullopt;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string word;
    std::string root;
    std::string place;
    words >> word >> word >> word >> root >> place;
    if (root.starts_with(kRoot))
      found[std::strtoull(root.c_str() + kRoot.size(), nullptr, 10)] = place;
  }
  return found;
}

std::optional<std::string> descriptor_of(const fs::path& process, const NetnsId& id) {
  std::error_code gone;  // a process that ends meanwhile has none
  for (fs::directory_iterator fd(process / "fd", gone); !gone && fd != fs::directory_iterator();
       fd.increment(gone)) {
    // Its name does not tell: it is that of a mount, if it was opened through one.
    if (leads_to(fd->path(), id)) return fd->path();
  }
  return std::nullopt;
}

std::optional<std::string> mount_of(const fs::path& process, const NetnsId& id) {
  const auto mounted = namespaces_in(process / "mountinfo");
  if (!mounted || !mounted->contains(id.inode)) return std::nullopt;
  return (process / "root").string() + mounted->at(id.inode);
}

}  // namespace

std::optional<std::unordered_map<ino_t, std::string>> mounted_namespaces() {
  return namespaces_in("/proc/self/mountinfo");
}

std::optional<std::unordered_set<ino_t>> inhabited_namespaces() {
  std::unordered_set<ino_t> found;
  const bool read = for_each_process([&](const fs::path& process) {
    std::error_code gone;  // a process that ends meanwhile lives nowhere
    fs::directory_iterator thread(process / "task", gone);
    for (; !gone && thread != fs::directory_iterator(); thread.increment(gone)) {
      struct stat st{};
      if (::stat((thread->path() / "ns/net").c_str(), &st) == 0) found.insert(st.st_ino);
    }
    return false;
  });
  if (!read) return std::nullopt;
  return found;
}

std::optional<std::string> path_to_namespace(const NetnsId& id) {
  std::optional<std::string> found;
  std::unordered_set<ino_t> mounts_read;  // many processes share a mount namespace
  static_cast<void>(for_each_process([&](const fs::path& process) {
    found = descriptor_of(process, id);
    struct stat st{};
    if (!found && ::stat((process / "ns/mnt").c_str(), &st) == 0 &&
        mounts_read.insert(st.st_ino).second)
      found = mount_of(process, id);
    if (found && !leads_to(*found, id)) found.reset();
    return found.has_value();
  }));
  return found;
}

bool leads_to(const std::string& path, const NetnsId& id) {
  struct statx st{};
  // What a descriptor is of may be on a server that does not answer.
  const int found = ::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_INO, &st);
  return found == 0 && st.stx_ino == id.inode &&
         ::makedev(st.stx_dev_major, st.stx_dev_minor) == id.device;
}

}  // namespace vethd

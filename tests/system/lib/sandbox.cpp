#include "tests/system/lib/sandbox.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace fs = std::filesystem;

namespace {

void must(int result, const char* doing) {
  if (result != 0) throw std::system_error(errno, std::generic_category(), doing);
}

/// Everything that shares our mount namespace was started by us.
std::string other_processes() {
  std::string found;
  const fs::path ours = fs::read_symlink("/proc/self/ns/mnt");
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || pid == ::getpid()) continue;
    std::error_code gone;  // a process may end while we look, and a zombie has no namespace
    if (fs::read_symlink(entry.path() / "ns/mnt", gone) == ours) found += "process " + name + "\n";
  }
  return found;
}

std::string taps(const std::string& netns) {
  std::string found;
  for (const std::string& name : taps_in(netns)) found += "tap " + netns + "/" + name + "\n";
  return found;
}

}  // namespace

std::string missing_privilege() {
  if (::geteuid() != 0) return "needs root: it makes network namespaces and links";
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) return "needs /dev/net/tun";
  return {};
}

void enter_sandbox() {
  must(::unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare mount and network namespaces");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  must(::mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), "mount an empty /run");
  ip("link set lo up");
}

std::string leftovers() {
  std::string found = taps("") + other_processes();
  if (fs::exists("/run/netns")) {
    for (const fs::directory_entry& entry : fs::directory_iterator("/run/netns")) {
      const std::string name = entry.path().filename();
      found += "namespace " + name + "\n" + taps(name);
    }
  }
  if (fs::exists("/run/vethd")) {
    found += "directory /run/vethd\n";
    for (const fs::directory_entry& entry : fs::directory_iterator("/run/vethd")) {
      found += "file " + entry.path().string() + "\n";
    }
  }
  return found;
}

}  // namespace vethd::system_test

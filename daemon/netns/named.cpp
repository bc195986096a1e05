#include "daemon/netns/named.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "daemon/core/fd.hpp"

namespace vethd {
namespace {

constexpr const char* kDirectory = "/run/netns";

std::string by_descriptor(const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

/// As iproute2: a shared mount point, so that names made in one mount namespace show and go away in
/// all others, and no other one keeps a removed network namespace alive.
Result<void> prepare_directory() {
  const std::string doing = std::string{"prepare "} + kDirectory;
  if (::mkdir(kDirectory, 0755) < 0 && errno != EEXIST) return fail(doing);
  if (::mount("", kDirectory, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (errno != EINVAL) return fail(doing, "needs CAP_SYS_ADMIN");
  // EINVAL: not a mount point yet.
  if (::mount(kDirectory, kDirectory, "none", MS_BIND | MS_REC, nullptr) < 0 ||
      ::mount("", kDirectory, "none", MS_SHARED | MS_REC, nullptr) < 0) {
    return fail(doing, "needs CAP_SYS_ADMIN");
  }
  return {};
}

/// For a thread of its own: it stays in the namespace it makes.
Result<Fd> unshare_here(const std::string& name) {
  const std::string doing = "make network namespace " + name;
  if (::unshare(CLONE_NEWNET) < 0) return fail(doing, "needs CAP_SYS_ADMIN");
  const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq lo{.ifr_ifrn = {.ifrn_name = "lo"}, .ifr_ifru = {}};
  lo.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &lo) < 0) return fail("bring up " + name + "/lo");
  Fd fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!fd.is_open()) return fail(doing);
  return fd;
}

Result<Netns> make_unnamed(const std::string& name) {
  Result<Fd> fd;
  std::thread{[&] { fd = unshare_here(name); }}.join();
  if (!fd) return pass(std::move(fd));
  return Netns::adopt(std::move(*fd), name);
}

}  // namespace

std::string netns_path(const std::string& name) { return std::string{kDirectory} + "/" + name; }

Result<Netns> create_named(const std::string& name, const AnnounceNetns& announce) {
  const std::string path = netns_path(name);
  if (Result<void> prepared = prepare_directory(); !prepared) return pass(std::move(prepared));
  Result<Netns> ns = make_unnamed(name);
  if (!ns) return ns;

  // A file without a name: its identity can be announced before anybody can see it.
  const Fd file{::open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0)};
  if (!file.is_open()) return fail("make " + path, "its file system must support O_TMPFILE");
  const std::optional<FileId> id = file_id(file.get());
  if (!id) return fail("identify " + path);

  const NamedNetns named{.name = name, .netns = ns->id(), .file = *id};
  if (Result<void> announced = announce(named); !announced) return pass(std::move(announced));

  if (::linkat(AT_FDCWD, by_descriptor(file).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) <
      0) {
    return fail("make " + path, errno == EEXIST ? "the name is taken: see `ip netns list`" : "");
  }
  const Result<Fd> its_file = ns->file();
  if (!its_file ||
      ::mount(by_descriptor(*its_file).c_str(), path.c_str(), "none", MS_BIND, nullptr) < 0) {
    const int code = errno;
    ::unlink(path.c_str());
    return fail("mount a network namespace on " + path, "needs CAP_SYS_ADMIN", code);
  }
  return ns;
}

Result<void> remove_named(const NamedNetns& named) {
  const std::string path = netns_path(named.name);
  if (file_id(path) == named.netns && ::umount2(path.c_str(), MNT_DETACH) < 0) {
    return fail("unmount " + path, "needs CAP_SYS_ADMIN; then `ip netns del " + named.name + "`");
  }
  if (file_id(path) == named.file && ::unlink(path.c_str()) < 0) {
    return fail("remove " + path, "try `ip netns del " + named.name + "`");
  }
  return {};
}

}  // namespace vethd

#include "daemon/netns/namespace.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "daemon/core/panic.hpp"
#include "daemon/netns/named.hpp"

namespace vethd {
namespace {

Result<Fd> open_file(const std::string& path, const std::string& label, const char* missing) {
  Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.is_open()) return fd;
  const int code = errno;
  const char* hint = "";
  if (code == ENOENT) hint = missing;
  if (code == EACCES || code == EPERM) hint = "run as root, or with CAP_SYS_PTRACE for a pid's";
  return fail("open network namespace " + label, hint, code);
}

Result<Fd> open_of_pid(pid_t pid, const std::string& label) {
  // glibc 2.36 declares pidfd_open() for C only.
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!process.is_open()) {
    return fail("open network namespace " + label,
                errno == ESRCH ? "no such process: start it first, or use a named namespace" : "");
  }
  Result<Fd> fd = open_file("/proc/" + std::to_string(pid) + "/ns/net", label,
                            "the process ended meanwhile; use a named namespace");
  if (!fd) return fd;
  // A pidfd becomes readable when its process ends. If it has not ended by now, the number was its
  // own when /proc was read.
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ended, 1, 0) != 0) {
    return fail("open network namespace " + label,
                "the process ended meanwhile; use a named namespace", ESRCH);
  }
  return fd;
}

}  // namespace

Result<Netns> Netns::open(const config::NetnsRef& ref) {
  const std::string label = ref.label();
  Result<Fd> fd;
  switch (ref.kind) {
    case config::NetnsRef::Kind::own:
      fd = open_file("/proc/thread-self/ns/net", label, "is /proc mounted?");
      break;
    case config::NetnsRef::Kind::name:
      fd = open_file(netns_path(ref.text), label,
                     "make it with `ip netns add`, or set create_netns = true");
      break;
    case config::NetnsRef::Kind::path:
      fd = open_file(ref.text, label, "no such file");
      break;
    case config::NetnsRef::Kind::pid:
      fd = open_of_pid(ref.pid, label);
      break;
  }
  if (!fd) return pass(std::move(fd));
  return adopt(std::move(*fd), label);
}

Result<Netns> Netns::adopt(Fd fd, std::string label) {
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) {
    return fail("open network namespace " + label,
                "this file is no network namespace; a leftover of one? try `ip netns del`", EINVAL);
  }
  const std::optional<FileId> id = file_id(fd.get());
  if (!id) return fail("identify network namespace " + label);
  const Result<NetnsVisit> visit = NetnsVisit::enter(fd, label);
  if (!visit) return std::unexpected(visit.error());
  Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.is_open()) return fail("hold network namespace " + label);
  return Netns{std::move(socket), *id, std::move(label)};
}

Result<Fd> Netns::file() const {
  Fd fd{::ioctl(socket_.get(), SIOCGSKNS)};
  if (fd.is_open()) return fd;
  return fail("open network namespace " + label_, "needs CAP_NET_ADMIN over it");
}

Result<NetnsVisit> NetnsVisit::enter(const Netns& ns) {
  const Result<Fd> file = ns.file();
  if (!file) return std::unexpected(file.error());
  return enter(*file, ns.label());
}

Result<NetnsVisit> NetnsVisit::enter(const Fd& file, const std::string& label) {
  Fd home{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!home.is_open()) return fail("remember the home network namespace", "is /proc mounted?");
  if (::setns(file.get(), CLONE_NEWNET) < 0)
    return fail("enter network namespace " + label, "needs CAP_SYS_ADMIN over it");
  return NetnsVisit{std::move(home)};
}

NetnsVisit::~NetnsVisit() {
  if (!home_.is_open()) return;
  if (::setns(home_.get(), CLONE_NEWNET) < 0) panic("the way back to the home netns is open");
}

}  // namespace vethd

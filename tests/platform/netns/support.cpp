#include "tests/platform/netns/support.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "daemon/netns/links.hpp"
#include "daemon/netns/route_socket.hpp"

namespace vethd::test {
namespace {

constexpr int kPatienceMs = static_cast<int>(std::chrono::milliseconds{kPatience}.count());
constexpr int kMaxEvents = 100'000;  // read while waiting for one

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(Error{.code = errno, .doing = what, .hint = {}}.text());
}

void check_nl(int error, const std::string& what) {
  if (error < 0) throw std::runtime_error(what + ": " + ::nl_geterror(error));
}

using LinkObject = std::unique_ptr<rtnl_link, decltype(&::rtnl_link_put)>;
LinkObject link_object(int ifindex = 0) {
  LinkObject link{::rtnl_link_alloc(), &::rtnl_link_put};
  ::rtnl_link_set_ifindex(link.get(), ifindex);
  return link;
}

}  // namespace

void PlatformTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces";
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

Netns make_netns(const std::string& label) {
  Fd fd;
  int error = 0;
  std::thread{[&] {
    if (::unshare(CLONE_NEWNET) < 0) error = errno;
    fd.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }}.join();
  errno = error;
  check(error == 0 && fd.is_open(), "make network namespace " + label);
  return must(Netns::adopt(std::move(fd), label));
}

NetnsId current_netns() {
  const Fd fd{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  return file_id(fd.get()).value();
}

Tap make_tap(const Netns& ns, const std::string& ifname) {
  Fd fd = must(in_netns(ns, [&]() -> Result<Fd> {
    Fd tun{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    ifreq request{};
    ifname.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (!tun.is_open() || ::ioctl(tun.get(), TUNSETIFF, &request) < 0) return fail("make a TAP");
    return tun;
  }));
  return {.fd = std::move(fd), .ifindex = must(must(Links::open(ns)).find(ifname)).ifindex};
}

void make_veth(const Netns& ns, const std::string& a, const std::string& b,
               const VethShape& shape) {
  const RouteSocket socket = must(open_route_socket(ns, 0));
  const LinkObject link{::rtnl_link_veth_alloc(), &::rtnl_link_put};
  ::rtnl_link_set_name(link.get(), a.c_str());
  if (shape.ifindex != 0) ::rtnl_link_set_ifindex(link.get(), shape.ifindex);
  const LinkObject peer{::rtnl_link_veth_get_peer(link.get()), &::rtnl_link_put};
  ::rtnl_link_set_name(peer.get(), b.c_str());
  for (rtnl_link* const end : {link.get(), peer.get()}) {
    ::rtnl_link_set_num_rx_queues(end, shape.queues);
    ::rtnl_link_set_num_tx_queues(end, shape.queues);
  }
  check_nl(::rtnl_link_add(socket.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL), "make a veth");
}

int make_bridge(const Netns& ns, const std::string& ifname) {
  const RouteSocket socket = must(open_route_socket(ns, 0));
  check_nl(::rtnl_link_bridge_add(socket.get(), ifname.c_str()), "make a bridge");
  return must(must(Links::open(ns)).find(ifname)).ifindex;
}

void set_master(const Netns& ns, int ifindex, int master) {
  const RouteSocket socket = must(open_route_socket(ns, 0));
  check_nl(::rtnl_link_enslave_ifindex(socket.get(), master, ifindex), "set the master");
}

void move_link(const Netns& from, int ifindex, const Netns& to) {
  const RouteSocket socket = must(open_route_socket(from, 0));
  const LinkObject change = link_object();
  const Fd destination = must(to.file());
  ::rtnl_link_set_ns_fd(change.get(), destination.get());
  check_nl(::rtnl_link_change(socket.get(), link_object(ifindex).get(), change.get(), 0),
           "move a link");
}

std::vector<LinkEvent> wait_for(LinkMonitor& monitor,
                                const std::function<bool(const LinkEvent&)>& fits) {
  std::vector<LinkEvent> seen;
  bool found = false;
  while (!found && seen.size() < kMaxEvents) {
    pollfd readable{.fd = monitor.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, kPatienceMs) <= 0) throw std::runtime_error("no such link event");
    must(monitor.read([&](const LinkEvent& event) {
      if (found) return;
      seen.push_back(event);
      found = fits(event);
    }));
  }
  return seen;
}

Child::Child(const std::function<void()>& body) {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC) == 0, "make a pipe");
  const Fd reader{ends[0]};
  Fd writer{ends[1]};
  pid_ = ::fork();
  check(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      body();
    } catch (const std::exception& error) {
      ::fputs(error.what(), stderr);
      ::_exit(EXIT_FAILURE);
    }
    writer.reset();
    for (;;) ::pause();  // until killed
  }
  writer.reset();
  pollfd done{.fd = reader.get(), .events = 0, .revents = 0};
  if (::poll(&done, 1, kPatienceMs) != 1) {
    kill();
    throw std::runtime_error("the child does not get ready");
  }
}

void Child::kill_unreaped() const {
  ::kill(pid_, SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
}

void Child::kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  wait_for_exit(std::exchange(pid_, 0));
}

int wait_for_exit(pid_t pid) {
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  check(process.is_open(), "watch a child");
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ended, 1, kPatienceMs) != 1) throw std::runtime_error("a child does not end");
  int status = 0;
  check(::waitpid(pid, &status, 0) == pid, "wait for a child");
  return status;
}

}  // namespace vethd::test

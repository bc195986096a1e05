// The floor: what two TAPs and one forwarding process cost when nothing at all is emulated.
//
// One thread, poll + read + write. The TAPs are opened as vethd opens its own (vnet header, the
// same offloads), so the difference between the two is vethd's doing.
//
//   floor NS_A IF_A NS_B IF_B      prints "ready", forwards until SIGTERM or SIGINT, then counts

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "daemon/netns/namespace.hpp"

namespace vethd::bench {
namespace {

// The longest frame a TAP hands out: 64 KiB of GSO payload, Ethernet and one VLAN tag, vnet header.
constexpr std::size_t kFrameBytes = 65535 + 18 + 10;
// Frames moved in one direction before the other is looked at.
constexpr int kBatchFrames = 64;

constexpr unsigned kUso = 0x20 | 0x40;  // TUN_F_USO4 | TUN_F_USO6, absent from 6.1 headers
constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

struct Direction {
  std::uint64_t forwarded = 0;      // frames
  std::uint64_t write_refused = 0;  // frames lost to a failed write
};

volatile sig_atomic_t stop_requested = 0;

Result<Fd> create_tap(const std::string& ifname) {
  Fd tap{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!tap.is_open()) return fail("open /dev/net/tun", "run as root; is the tun module loaded?");
  ifreq request{};
  ifname.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(tap.get(), TUNSETIFF, &request) < 0) return fail("create TAP " + ifname);
  if (::ioctl(tap.get(), TUNSETOFFLOAD, kOffloads | kUso) < 0 &&
      ::ioctl(tap.get(), TUNSETOFFLOAD, kOffloads) < 0) {
    return fail("set the offloads of TAP " + ifname);
  }
  return tap;
}

/// A new TAP in a named namespace.
Result<Fd> open_tap(const std::string& netns, const std::string& ifname) {
  if (ifname.empty() || ifname.size() >= IFNAMSIZ) {
    return fail("create TAP " + ifname, "a device name has 1 to 15 characters", EINVAL);
  }
  Result<Netns> ns = Netns::open({.kind = config::NetnsRef::Kind::name, .text = netns});
  if (!ns) return pass(std::move(ns));
  return in_netns(*ns, [&] { return create_tap(ifname); });
}

/// Moves at most one batch; an empty TAP ends it early.
void forward(const Fd& from, const Fd& to, Direction& count) {
  static std::array<std::byte, kFrameBytes> frame;
  for (int i = 0; i < kBatchFrames; ++i) {
    const ssize_t length = ::read(from.get(), frame.data(), frame.size());
    if (length < 0) return;
    if (::write(to.get(), frame.data(), static_cast<std::size_t>(length)) == length) {
      ++count.forwarded;
    } else {
      ++count.write_refused;
    }
  }
}

/// Blocks the stop signals and returns the mask under which ppoll() lets them in, so that none can
/// slip between the look at stop_requested and the wait.
sigset_t catch_stop_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_requested = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  sigset_t stop;
  sigset_t waiting;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &stop, &waiting);
  return waiting;
}

Result<void> run(char* argv[]) {
  const sigset_t waiting = catch_stop_signals();
  Result<Fd> a = open_tap(argv[1], argv[2]);
  if (!a) return pass(std::move(a));
  Result<Fd> b = open_tap(argv[3], argv[4]);
  if (!b) return pass(std::move(b));
  std::puts("ready");
  std::fflush(stdout);

  Direction a_to_b;
  Direction b_to_a;
  std::array<pollfd, 2> wait{{{a->get(), POLLIN, 0}, {b->get(), POLLIN, 0}}};
  while (stop_requested == 0) {
    if (::ppoll(wait.data(), wait.size(), nullptr, &waiting) < 0) {
      if (errno == EINTR) continue;
      return fail("wait for frames");
    }
    if (((wait[0].revents | wait[1].revents) & ~POLLIN) != 0) {
      return fail("wait for frames", "a TAP was deleted underneath", ENODEV);
    }
    if (wait[0].revents != 0) forward(*a, *b, a_to_b);
    if (wait[1].revents != 0) forward(*b, *a, b_to_a);
  }
  std::fprintf(stderr,
               "floor: a to b %" PRIu64 " frames, %" PRIu64 " refused; b to a %" PRIu64
               " frames, %" PRIu64 " refused\n",
               a_to_b.forwarded, a_to_b.write_refused, b_to_a.forwarded, b_to_a.write_refused);
  return {};
}

}  // namespace
}  // namespace vethd::bench

int main(int argc, char* argv[]) {
  if (argc != 5) {
    std::fputs("usage: floor NS_A IF_A NS_B IF_B\n", stderr);
    return 2;
  }
  const vethd::Result<void> result = vethd::bench::run(argv);
  if (!result) {
    std::fprintf(stderr, "floor: %s\n", result.error().text().c_str());
    return 1;
  }
  return 0;
}

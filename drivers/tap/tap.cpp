#include "drivers/tap/tap.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "drivers/tap/compat.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd {
namespace {

struct Offload {
  unsigned bit;
  const char* name;
};
constexpr std::array kOffloads{
    Offload{TUN_F_CSUM, "csum"},
    Offload{TUN_F_TSO4, "tso4"},
    Offload{TUN_F_TSO6, "tso6"},
    Offload{TUN_F_TSO_ECN, "tso_ecn"},
    Offload{TUN_F_USO4, "uso4"},
    Offload{TUN_F_USO6, "uso6"},
    Offload{TUN_F_UDP_TUNNEL_GSO, "udp_tunnel"},
    Offload{TUN_F_UDP_TUNNEL_GSO_CSUM, "udp_tunnel_csum"},
};

// Best first; a kernel refuses a mask with a bit it does not know.
constexpr unsigned kTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr unsigned kUso = TUN_F_USO4 | TUN_F_USO6;
constexpr unsigned kTunnel = TUN_F_UDP_TUNNEL_GSO | TUN_F_UDP_TUNNEL_GSO_CSUM;
constexpr std::array kOffloadMasks{kTso | kUso | kTunnel, kTso | kUso, kTso, unsigned{TUN_F_CSUM}};

// A device without an owner lets in whoever can open the tun node; one with an owner, that user and
// CAP_NET_ADMIN of its namespace: tun_not_capable(). To be another root is not enough, so the owner
// is a user that no process runs as: (uid_t)-1 is none, and this is the one below. A group is left
// out: it would narrow that in some kernels and widen it in others.
constexpr uid_t kOwner = static_cast<uid_t>(-2);

/// In a user namespace the owner has to be one of its users, and we may be the only one.
bool set_owner(int fd) {
  return ::ioctl(fd, TUNSETOWNER, kOwner) == 0 || ::ioctl(fd, TUNSETOWNER, ::geteuid()) == 0;
}

std::string hint_for(int error, const std::string& ifname) {
  switch (error) {
    case EPERM:
      return "vethd needs CAP_NET_ADMIN in the namespace; run it as root";
    case EBUSY:
    case EEXIST:
    case EINVAL:
      return "a device named " + ifname +
             " exists already; remove it or choose another ifname. Devices of a vethd that was "
             "killed a moment ago go by themselves";
    default:
      return "";
  }
}

Result<Fd> open_queue(const std::string& ifname, short flags, const std::string& doing) {
  Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) {
    if (errno == EMFILE) return fail(doing, "too many open files; raise the limit with ulimit -n");
    return fail("open /dev/net/tun",
                errno == ENOENT || errno == ENODEV || errno == ENXIO
                    ? "load the module with: modprobe tun; in a container pass the device through"
                    : "the file must be readable and writable");
  }
  ifreq request{};
  std::strncpy(request.ifr_name, ifname.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = flags;
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return fail(doing, hint_for(errno, ifname));
  return fd;
}

}  // namespace

Result<Tap> Tap::create(const Netns& ns, const std::string& ifname, unsigned queues,
                        const SuperFrames& wanted) {
  return in_netns(ns, [&]() -> Result<Tap> {
    const std::string label = ns.label() + "/" + ifname;
    const std::string doing = "create TAP " + label;
    unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_NO_CARRIER;
    if (queues > 1) flags |= IFF_MULTI_QUEUE;
    std::vector<Fd> fds;
    for (unsigned i = 0; i < queues; ++i) {
      // The first must make the device: somebody else's TAP of that name is not ours to attach to.
      const unsigned exclusive = i == 0 ? IFF_TUN_EXCL : 0U;
      auto fd = open_queue(ifname, static_cast<short>(flags | exclusive), doing);
      if (!fd) return pass(std::move(fd));
      fds.push_back(std::move(*fd));
      if (i == 0 && !set_owner(fds.front().get())) return fail("own TAP " + label);
    }
    Tap tap(std::move(fds), label);
    if (auto probed = tap.probe_offloads(); !probed) return pass(std::move(probed));
    tap.wanted_ = tap.possible_;
    if (!wanted.udp) tap.wanted_ &= ~kUso;
    if (!wanted.udp_tunnel) tap.wanted_ &= ~kTunnel;
    if (auto set = tap.set_offloads(tap.wanted_); !set) return pass(std::move(set));
    return tap;
  });
}

Result<void> Tap::set_offloads(unsigned offloads) {
  if (::ioctl(queues_.front().get(), TUNSETOFFLOAD, offloads) < 0)
    return fail("set offloads of TAP " + ifname_);
  offloads_ = offloads;
  return {};
}

/// The header has to be as long as the best set needs, or every read would fail with EFAULT; a
/// longer one than is needed does no harm. Nothing is read while the device is down.
Result<void> Tap::probe_offloads() {
  for (const unsigned mask : kOffloadMasks) {
    const std::size_t bytes = (mask & kTunnel) != 0 ? kVnetTunnelBytes : kVnetBytes;
    const int size = static_cast<int>(bytes);
    if (::ioctl(queues_.front().get(), TUNSETVNETHDRSZ, &size) < 0)
      return fail("set the vnet header size of TAP " + ifname_);
    if (!set_offloads(mask)) continue;  // EINVAL
    possible_ = mask;
    vnet_bytes_ = static_cast<std::uint32_t>(bytes);
    return {};
  }
  return fail("set offloads of TAP " + ifname_);
}

std::vector<std::string> Tap::offloads() const {
  std::vector<std::string> names;
  for (const Offload& offload : kOffloads)
    if ((offloads_ & offload.bit) != 0) names.emplace_back(offload.name);
  return names;
}

bool Tap::takes_udp_super_frames() const { return (possible_ & TUN_F_USO4) != 0; }

Result<void> Tap::set_carrier(bool on) {
  int carrier = on ? 1 : 0;
  if (::ioctl(queues_.front().get(), TUNSETCARRIER, &carrier) < 0)
    return fail("set the carrier of " + ifname_);
  return {};
}

Result<void> Tap::set_segmentation(bool on) {
  const unsigned offloads = on ? wanted_ : unsigned{TUN_F_CSUM};
  if (offloads == offloads_) return {};
  return set_offloads(offloads);
}

Result<std::string> Tap::current_name() const {
  ifreq request{};
  if (::ioctl(queues_.front().get(), TUNGETIFF, &request) < 0)
    return fail("ask " + ifname_ + " for its name");
  return std::string(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
}

Result<Fd> Tap::current_netns() const {
  Fd fd(::ioctl(queues_.front().get(), TUNGETDEVNETNS));
  if (!fd.is_open()) return fail("ask " + ifname_ + " for its namespace");
  return fd;
}

}  // namespace vethd

#include "drivers/tap/tap.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <array>
#include <cstring>

#include "drivers/tap/compat.hpp"

namespace vethd {
namespace {

struct Offload {
  unsigned bit;
  const char* name;
};
constexpr std::array kOffloads{
    Offload{TUN_F_CSUM, "csum"},       Offload{TUN_F_TSO4, "tso4"}, Offload{TUN_F_TSO6, "tso6"},
    Offload{TUN_F_TSO_ECN, "tso_ecn"}, Offload{TUN_F_USO4, "uso4"}, Offload{TUN_F_USO6, "uso6"},
};

// Best first; a kernel refuses a mask with a bit it does not know.
constexpr unsigned kTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr std::array kOffloadMasks{kTso | TUN_F_USO4 | TUN_F_USO6, kTso, unsigned{TUN_F_CSUM}};

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

Result<Tap> Tap::create(const Netns& ns, const std::string& ifname, unsigned queues) {
  return in_netns(ns, [&]() -> Result<Tap> {
    const std::string doing = "create TAP " + ns.label() + "/" + ifname;
    unsigned flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_NO_CARRIER;
    if (queues > 1) flags |= IFF_MULTI_QUEUE;
    std::vector<Fd> fds;
    for (unsigned i = 0; i < queues; ++i) {
      // The first must make the device: somebody else's TAP of that name is not ours to attach to.
      const unsigned exclusive = i == 0 ? IFF_TUN_EXCL : 0U;
      auto fd = open_queue(ifname, static_cast<short>(flags | exclusive), doing);
      if (!fd) return pass(std::move(fd));
      fds.push_back(std::move(*fd));
    }
    for (const unsigned mask : kOffloadMasks)
      if (::ioctl(fds.front().get(), TUNSETOFFLOAD, mask) == 0)
        return Tap(std::move(fds), mask, ns.label() + "/" + ifname);
    return fail("set offloads of TAP " + ns.label() + "/" + ifname);
  });
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
  const unsigned offloads = on ? possible_ : unsigned{TUN_F_CSUM};
  if (offloads == offloads_) return {};
  if (::ioctl(queues_.front().get(), TUNSETOFFLOAD, offloads) < 0)
    return fail("set offloads of TAP " + ifname_);
  offloads_ = offloads;
  return {};
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

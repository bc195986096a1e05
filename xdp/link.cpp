#include "xdp/link.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vethd {
namespace {

/// Of the program on the device; empty where there is none. In the device's namespace.
std::string attached_program(int ifindex) {
  std::uint32_t id = 0;
  if (::bpf_xdp_query_id(ifindex, 0, &id) < 0 || id == 0) return {};
  return xdp_program_name(id) + " (id " + std::to_string(id) + ")";
}

/// In the device's namespace; 0: it cannot be asked.
int mtu_of(const std::string& ifname) {
  const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  ifname.copy(request.ifr_name, IFNAMSIZ - 1);
  return ::ioctl(socket.get(), SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 0;
}

// The driver's own words, extack, are not to be had from bpf(2); what is said here is what the
// drivers mean by their numbers.
std::string hint_for(int code, int ifindex, const std::string& ifname, XdpAttach how) {
  if (const std::string there = attached_program(ifindex); !there.empty())
    return "it has a program already: " + there;
  if (code == EPERM) return "needs CAP_NET_ADMIN and CAP_BPF";
  if (how == XdpAttach::generic) return "";
  switch (code) {
    case EINVAL:  // igb: igb_xdp_setup(), fragments or not
      if (const int mtu = mtu_of(ifname); mtu > ETH_DATA_LEN)
        return "its mtu " + std::to_string(mtu) +
               " may be more than its driver's XDP takes: lower it";
      return "";
    case EOPNOTSUPP:
      return "its driver has no XDP of its own, or not while it merges what it receives: "
             "ethtool -K " +
             ifname + " lro off rx-gro-hw off";
    case ERANGE:  // veth, tun and others
    case EMSGSIZE:
    case EFBIG:
      return "the mtu, on a veth its peer's, is too large for XDP: lower it, or let the program "
             "take fragments";
    case ENOSPC:  // veth: more tx queues of the peer than rx queues
    case ENOMEM:  // virtio_net, for want of tx queues; and memory proper
      return "it has too few queues for XDP: ethtool -l " + ifname + " shows them, -L sets them";
    default:
      return "";
  }
}

}  // namespace

std::string xdp_program_name(std::uint32_t id) {
  const Fd fd(::bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  std::uint32_t bytes = sizeof info;
  if (!fd.is_open() || ::bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) < 0) return "unknown";
  return std::string(info.name, ::strnlen(info.name, sizeof info.name));
}

Result<XdpLink> XdpLink::attach(const Netns& ns, int ifindex, int program_fd,
                                const std::string& name, XdpAttach how) {
  return in_netns(ns, [&]() -> Result<XdpLink> {
    const std::string doing = "attach XDP program " + name + " to " + ns.label() + "/";
    std::array<char, IF_NAMESIZE> device{};
    if (::if_indextoname(static_cast<unsigned>(ifindex), device.data()) == nullptr)
      return fail(doing + "#" + std::to_string(ifindex));
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.flags = how == XdpAttach::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
    Fd link(::bpf_link_create(program_fd, ifindex, BPF_XDP, &options));
    if (link.is_open()) return XdpLink(std::move(link));
    const int code = errno;
    return fail(doing + device.data(), hint_for(code, ifindex, device.data(), how), code);
  });
}

bool XdpLink::attached() const {
  bpf_link_info info{};
  std::uint32_t bytes = sizeof info;
  return ::bpf_obj_get_info_by_fd(fd_.get(), &info, &bytes) == 0 && info.xdp.ifindex != 0;
}

}  // namespace vethd

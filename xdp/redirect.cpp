#include "xdp/redirect.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>

#include "xdp/log.hpp"
#include "xdp/redirect.skel.h"

namespace vethd {
namespace {

// An entry is a pointer: 32 KiB per device. No device has more (veth's own limit,
// IFLA_NUM_RX_QUEUES up to 4096); the largest NICs have some hundreds.
constexpr std::uint32_t kMaxQueues = 4096;

struct Destroy {
  void operator()(redirect_bpf* skeleton) const { ::redirect_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<redirect_bpf, Destroy>;

void set(decltype(redirect_bpf::rodata) constants, const Steering& steering) {
  constants->by_mac = steering.mac.has_value();
  if (steering.mac) std::ranges::copy(steering.mac->bytes, constants->mac);
  constants->multicast = steering.multicast;
  constants->by_vlan = steering.vlan.has_value();
  constants->vlan = steering.vlan.value_or(0);
}

Result<Skeleton> load(const Steering& steering, bool multi_buffer) {
  const std::string doing = "load the XDP program redirect";
  const BpfWarnings warnings;
  Skeleton skeleton{::redirect_bpf__open()};
  if (skeleton == nullptr) return fail(doing, warnings.cause());
  set(skeleton->rodata, steering);
  int error = ::bpf_map__set_max_entries(skeleton->maps.sockets, kMaxQueues);
  // What section "xdp.frags" means.
  if (error == 0 && multi_buffer)
    error = ::bpf_program__set_flags(skeleton->progs.redirect, BPF_F_XDP_HAS_FRAGS);
  if (error == 0) error = ::redirect_bpf__load(skeleton.get());
  if (error == 0) return skeleton;
  if (error == -EPERM) return fail(doing, "needs CAP_NET_ADMIN and CAP_BPF", -error);
  if (error == -EINVAL && multi_buffer)
    return fail(doing, "fragments need Linux 5.18; " + warnings.cause(), -error);
  return fail(doing, warnings.cause(), -error);
}

}  // namespace

Result<Redirect> Redirect::attach(const Netns& ns, int ifindex, const Steering& steering,
                                  XskMode mode, bool multi_buffer) {
  auto program = load(steering, multi_buffer);
  if (!program) return pass(std::move(program));
  // The link holds the program, and the program its map; we keep a descriptor to write to that.
  Fd sockets(::fcntl(::bpf_map__fd((*program)->maps.sockets), F_DUPFD_CLOEXEC, 0));
  if (!sockets.is_open()) return fail("hold the map of sockets", "raise RLIMIT_NOFILE");
  auto link =
      XdpLink::attach(ns, ifindex, ::bpf_program__fd((*program)->progs.redirect), "redirect",
                      mode == XskMode::generic ? XdpAttach::generic : XdpAttach::native);
  if (!link) return pass(std::move(link));
  return Redirect(std::move(*link), std::move(sockets));
}

Result<void> Redirect::add(QueueId queue, int xsk_fd) {
  const std::uint32_t key = queue.value;
  if (::bpf_map_update_elem(sockets_.get(), &key, &xsk_fd, BPF_ANY) == 0) return {};
  return fail("steer queue " + std::to_string(queue.value) + " into its socket");
}

}  // namespace vethd

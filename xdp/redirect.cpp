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
#include <utility>

#include "xdp/log.hpp"
#include "xdp/redirect.skel.h"
#include "xdp/redirect_tag.skel.h"

namespace vethd {
namespace {

// An entry is a pointer: 32 KiB per device. No device has more (veth's own limit,
// IFLA_NUM_RX_QUEUES up to 4096); the largest NICs have some hundreds.
constexpr std::uint32_t kMaxQueues = 4096;

// A program that is bound to a device may ask it for what it knows of a frame; the headers of
// Debian 12 do not name the flag.
#ifndef BPF_F_XDP_DEV_BOUND_ONLY
constexpr std::uint32_t BPF_F_XDP_DEV_BOUND_ONLY = 1U << 6;
#endif

struct Destroy {
  void operator()(redirect_bpf* skeleton) const { ::redirect_bpf__destroy(skeleton); }
  void operator()(redirect_tag_bpf* skeleton) const { ::redirect_tag_bpf__destroy(skeleton); }
};

/// What the two skeletons have in common.
template <class Skeleton>
struct Opened {
  std::unique_ptr<Skeleton, Destroy> skeleton = nullptr;
  bpf_program* program = nullptr;
  const char* name = nullptr;
};

Opened<redirect_bpf> open_redirect() {
  Opened<redirect_bpf> opened{.name = "redirect"};
  opened.skeleton.reset(::redirect_bpf__open());
  if (opened.skeleton != nullptr) opened.program = opened.skeleton->progs.redirect;
  return opened;
}

Opened<redirect_tag_bpf> open_redirect_tag(int ifindex) {
  Opened<redirect_tag_bpf> opened{.name = "redirect_tag"};
  opened.skeleton.reset(::redirect_tag_bpf__open());
  if (opened.skeleton == nullptr) return opened;
  opened.program = opened.skeleton->progs.redirect_tag;
  ::bpf_program__set_ifindex(opened.program, static_cast<std::uint32_t>(ifindex));
  return opened;
}

template <class Constants>
void set(Constants* constants, const Steering& steering) {
  constants->by_mac = steering.mac.has_value();
  if (steering.mac) std::ranges::copy(steering.mac->bytes, constants->mac);
  constants->multicast = steering.multicast;
  constants->by_vlan = steering.vlan.has_value();
  constants->vlan = steering.vlan.value_or(0);
}

std::string hint_for(int code, bool multi_buffer, const std::string& cause) {
  if (code == EPERM) return "needs CAP_NET_ADMIN and CAP_BPF";
  if (code == EINVAL && multi_buffer) return "fragments need Linux 5.18; " + cause;
  return cause;
}

/// flags: BPF_F_XDP_*. In the device's namespace, if the program is bound to it.
template <class Skeleton>
Result<void> load(const Opened<Skeleton>& opened, const Steering& steering, std::uint32_t flags) {
  const std::string doing = std::string{"load the XDP program "} + opened.name;
  const BpfWarnings warnings;
  Skeleton* const skeleton = opened.skeleton.get();
  if (skeleton == nullptr) return fail(doing, warnings.cause());
  set(skeleton->rodata, steering);
  int error = ::bpf_map__set_max_entries(skeleton->maps.sockets, kMaxQueues);
  if (error == 0) error = ::bpf_program__set_flags(opened.program, flags);
  if (error == 0) error = ::bpf_object__load(skeleton->obj);
  if (error == 0) return {};
  return fail(doing, hint_for(-error, (flags & BPF_F_XDP_HAS_FRAGS) != 0, warnings.cause()),
              -error);
}

}  // namespace

template <class Opened>
Result<Redirect> Redirect::attach(const Netns& ns, int ifindex, const Opened& opened,
                                  XskMode mode) {
  // The link holds the program, and the program its map; we keep a descriptor to write to that.
  Fd sockets(::fcntl(::bpf_map__fd(opened.skeleton->maps.sockets), F_DUPFD_CLOEXEC, 0));
  if (!sockets.is_open()) return fail("hold the map of sockets", "raise RLIMIT_NOFILE");
  auto link = XdpLink::attach(ns, ifindex, ::bpf_program__fd(opened.program), opened.name,
                              mode == XskMode::generic ? XdpAttach::generic : XdpAttach::native);
  if (!link) return pass(std::move(link));
  return Redirect(std::move(*link), std::move(sockets));
}

Result<Redirect> Redirect::attach(const Netns& ns, int ifindex, const Steering& steering,
                                  XskMode mode, bool multi_buffer, OuterTag outer_tag) {
  // What section "xdp.frags" means.
  const std::uint32_t flags = multi_buffer ? BPF_F_XDP_HAS_FRAGS : 0;
  if (outer_tag == OuterTag::in_bytes) {
    const auto opened = open_redirect();
    if (auto loaded = load(opened, steering, flags); !loaded) return pass(std::move(loaded));
    return attach(ns, ifindex, opened, mode);
  }
  return in_netns(ns, [&]() -> Result<Redirect> {
    const auto opened = open_redirect_tag(ifindex);
    if (auto loaded = load(opened, steering, flags | BPF_F_XDP_DEV_BOUND_ONLY); !loaded)
      return pass(std::move(loaded));
    return attach(ns, ifindex, opened, mode);
  });
}

Result<void> Redirect::add(QueueId queue, int xsk_fd) {
  const std::uint32_t key = queue.value;
  if (::bpf_map_update_elem(sockets_.get(), &key, &xsk_fd, BPF_ANY) == 0) return {};
  return fail("steer queue " + std::to_string(queue.value) + " into its socket");
}

}  // namespace vethd

#include "xdp/new_links.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "daemon/core/fd.hpp"

namespace vethd {
namespace {

constexpr int kLinksPerCall = 1024;  // the rest at the next call

}  // namespace

std::vector<int> NewXdpLinks::devices() {
  std::vector<int> found;
  for (int i = 0; i < kLinksPerCall && ::bpf_link_get_next_id(last_, &last_) == 0; ++i) {
    const Fd link(::bpf_link_get_fd_by_id(last_));  // may be gone again
    bpf_link_info info{};
    std::uint32_t bytes = sizeof info;
    if (link.is_open() && ::bpf_obj_get_info_by_fd(link.get(), &info, &bytes) == 0 &&
        info.type == BPF_LINK_TYPE_XDP)
      found.push_back(static_cast<int>(info.xdp.ifindex));
  }
  return found;
}

}  // namespace vethd

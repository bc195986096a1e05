#include "xdp/caller.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <numeric>
#include <utility>
#include <vector>

#include "xdp/call.skel.h"
#include "xdp/compat.hpp"
#include "xdp/log.hpp"

namespace vethd {
namespace {

std::string hint_for(int code, const BpfWarnings& warnings) {
  if (code == EPERM) return "needs CAP_NET_ADMIN and CAP_BPF";
  char jit = '1';
  std::ifstream("/proc/sys/net/core/bpf_jit_enable") >> jit;
  if (jit == '0') return "needs the BPF JIT: sysctl -w net.core.bpf_jit_enable=1";
  return warnings.cause();
}

/// One row of a per-CPU array. False: it cannot be read.
bool read_row(int map, std::uint32_t row, std::vector<std::uint64_t>& columns, std::uint64_t& sum) {
  if (::bpf_map_lookup_elem(map, &row, columns.data()) < 0) return false;
  sum = std::accumulate(columns.begin(), columns.end(), std::uint64_t{0});
  return true;
}

}  // namespace

void XdpCaller::Destroy::operator()(call_bpf* skeleton) const { ::call_bpf__destroy(skeleton); }

Result<XdpCaller> XdpCaller::load(int program_fd, const std::string& program, bool frags) {
  const std::string doing = "load the caller of XDP program " + program;
  const BpfWarnings warnings;
  Skeleton skeleton{::call_bpf__open()};
  if (skeleton == nullptr) return fail(doing, warnings.cause());
  int error = 0;
  // What section "xdp.frags" means.
  if (frags) error = ::bpf_program__set_flags(skeleton->progs.vethd_call, BPF_F_XDP_HAS_FRAGS);
  if (error == 0) error = ::call_bpf__load(skeleton.get());
  if (error < 0) return fail(doing, hint_for(-error, warnings), -error);
  const std::uint32_t first = 0;
  if (::bpf_map_update_elem(::bpf_map__fd(skeleton->maps.users), &first, &program_fd, BPF_ANY) < 0)
    return fail("let XDP program " + program + " be called",
                "it cannot be one that is bound to a device");
  return XdpCaller{std::move(skeleton)};
}

int XdpCaller::fd() const { return ::bpf_program__fd(skeleton_->progs.vethd_call); }

void XdpCaller::peer_runs_xdp(bool runs) {
  // Shared with the kernel, as the map that global variables are.
  auto& shared = const_cast<std::uint32_t&>(skeleton_->bss->peer_runs_xdp);
  std::atomic_ref<std::uint32_t>(shared).store(runs ? 1 : 0, std::memory_order_relaxed);
}

Result<XdpCounts> XdpCaller::counts() const {
  const int cpus = ::libbpf_num_possible_cpus();
  if (cpus < 0) return fail("count the possible CPUs", {}, -cpus);
  std::vector<std::uint64_t> columns(static_cast<std::size_t>(cpus));
  const int map = ::bpf_map__fd(skeleton_->maps.counts);
  XdpCounts counts;
  std::uint32_t row = 0;
  bool complete = true;
  for_each_verdict(counts.verdicts, [&](auto, std::uint64_t& count) {
    complete = read_row(map, row++, columns, count) && complete;
  });
  complete = read_row(map, row, columns, counts.tx_errors) && complete;
  if (!complete) return fail("read the counted verdicts");
  return counts;
}

}  // namespace vethd

#include "xdp/verdict_counter.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "xdp/log.hpp"
#include "xdp/verdicts.skel.h"

namespace vethd {
namespace {

Result<bool> has_btf(int program_fd) {
  bpf_prog_info info{};
  std::uint32_t bytes = sizeof info;
  if (::bpf_obj_get_info_by_fd(program_fd, &info, &bytes) < 0) return fail("ask for its BTF");
  return info.btf_id != 0;
}

std::string hint_for(int code, const BpfWarnings& warnings) {
  return code == EPERM ? "this kernel refuses fexit programs" : warnings.cause();
}

}  // namespace

void VerdictCounter::Destroy::operator()(verdicts_bpf* skeleton) const {
  ::verdicts_bpf__destroy(skeleton);
}

Result<VerdictCounter> VerdictCounter::attach(int program_fd, const std::string& program) {
  const std::string doing = "count the verdicts of " + program;
  const Result<bool> described = has_btf(program_fd);
  if (!described) return std::unexpected(described.error());
  if (!*described) return fail(doing, "it has no BTF: compile it with clang -g", 0);
  const BpfWarnings warnings;
  Skeleton skeleton{::verdicts_bpf__open()};
  int error = skeleton == nullptr ? -errno : 0;
  if (error == 0)
    error = ::bpf_program__set_attach_target(skeleton->progs.count_verdict, program_fd,
                                             program.c_str());
  if (error == 0) error = ::verdicts_bpf__load(skeleton.get());
  if (error == 0) error = ::verdicts_bpf__attach(skeleton.get());
  if (error < 0) return fail(doing, hint_for(-error, warnings), -error);
  return VerdictCounter{std::move(skeleton)};
}

Result<XdpVerdicts> VerdictCounter::read() const {
  const int cpus = ::libbpf_num_possible_cpus();
  if (cpus < 0) return fail("count the possible CPUs", {}, -cpus);
  std::vector<std::uint64_t> columns(static_cast<std::size_t>(cpus));
  const int map = ::bpf_map__fd(skeleton_->maps.verdicts);
  XdpVerdicts verdicts;
  std::uint32_t row = 0;
  int error = 0;
  for_each_verdict(verdicts, [&](auto, std::uint64_t& count) {
    if (const int failed = ::bpf_map_lookup_elem(map, &row, columns.data()); failed < 0)
      error = failed;
    ++row;
    count = std::accumulate(columns.begin(), columns.end(), std::uint64_t{0});
  });
  if (error < 0) return fail("read the counted verdicts", {}, -error);
  return verdicts;
}

}  // namespace vethd

#include "xdp/hook.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <xdp/libxdp.h>

#include <memory>
#include <utility>

#include "xdp/log.hpp"
#include "xdp/object.hpp"

namespace vethd {
namespace {

struct CloseProgram {
  void operator()(xdp_program* program) const { ::xdp_program__close(program); }
};
using ProgramPtr = std::unique_ptr<xdp_program, CloseProgram>;

bpf_program* find(xdp_program* program, const std::string& name) {
  return ::bpf_object__find_program_by_name(::xdp_program__bpf_obj(program), name.c_str());
}

Result<ProgramPtr> load(const std::string& object, const std::string& name) {
  const std::string doing = "load XDP program " + name + " of " + object;
  const BpfWarnings warnings;
  xdp_program_opts options{};
  options.sz = sizeof options;
  options.prog_name = name.c_str();
  options.open_filename = object.c_str();
  xdp_program* opened = ::xdp_program__create(&options);
  if (const long error = ::libxdp_get_error(opened); error != 0)
    return fail(doing, warnings.cause(), static_cast<int>(-error));
  ProgramPtr program{opened};
  // One that its author keeps from loading by itself, SEC("?xdp"), was asked for by name.
  ::bpf_program__set_autoload(find(opened, name), true);
  if (const int error = ::bpf_object__load(::xdp_program__bpf_obj(opened)); error < 0)
    return fail(doing, warnings.cause(), -error);
  return program;
}

Result<std::uint32_t> id_of(int program_fd) {
  bpf_prog_info info{};
  std::uint32_t bytes = sizeof info;
  if (::bpf_obj_get_info_by_fd(program_fd, &info, &bytes) < 0)
    return fail("ask for a program's id");
  return info.id;
}

}  // namespace

Result<XdpHook> XdpHook::attach(const Netns& ns, int ifindex, const std::string& object,
                                const std::string& name, XdpAttach how) {
  const auto info = inspect_xdp(object, name);
  if (!info) return std::unexpected(info.error());
  auto program = load(object, name);
  if (!program) return pass(std::move(program));
  // Of what was loaded only the caller is kept: it holds the program, and that its maps.
  const int fd = ::bpf_program__fd(find(program->get(), name));
  const auto id = id_of(fd);
  if (!id) return std::unexpected(id.error());
  auto caller = XdpCaller::load(fd, name, info->frags);
  if (!caller) return pass(std::move(caller));
  const auto caller_id = id_of(caller->fd());
  if (!caller_id) return std::unexpected(caller_id.error());
  auto link = XdpLink::attach(ns, ifindex, caller->fd(), name, how);
  if (!link) return pass(std::move(link));
  return XdpHook(std::move(*caller), std::move(*link), *id, *caller_id);
}

}  // namespace vethd

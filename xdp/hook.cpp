#include "xdp/hook.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <xdp/libxdp.h>

#include <array>
#include <cerrno>
#include <cstring>
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
  if (auto inspected = inspect_xdp(object, name); !inspected) return pass(std::move(inspected));
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

/// Of the program on the device; empty where there is none. In the device's namespace.
std::string attached_program(int ifindex) {
  std::uint32_t id = 0;
  if (::bpf_xdp_query_id(ifindex, 0, &id) < 0 || id == 0) return {};
  const Fd fd(::bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  std::uint32_t bytes = sizeof info;
  if (!fd.is_open() || ::bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) < 0)
    return "number " + std::to_string(id);
  return std::string(info.name, ::strnlen(info.name, sizeof info.name)) + " (id " +
         std::to_string(id) + ")";
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
                                const std::string& name) {
  auto program = load(object, name);
  if (!program) return pass(std::move(program));
  // Of what was loaded only the link is kept: it holds the program, and that its maps.
  const int fd = ::bpf_program__fd(find(program->get(), name));
  auto id = id_of(fd);
  if (!id) return pass(std::move(id));
  auto counter = VerdictCounter::attach(fd, name);  // before the first frame
  return in_netns(ns, [&]() -> Result<XdpHook> {
    const std::string doing = "attach XDP program " + name + " to " + ns.label() + "/";
    std::array<char, IF_NAMESIZE> device{};
    if (::if_indextoname(static_cast<unsigned>(ifindex), device.data()) == nullptr)
      return fail(doing + "#" + std::to_string(ifindex));
    bpf_link_create_opts options{};
    options.sz = sizeof options;
    options.flags = XDP_FLAGS_DRV_MODE;
    Fd link(::bpf_link_create(fd, ifindex, BPF_XDP, &options));
    if (link.is_open()) return XdpHook(std::move(link), *id, std::move(counter));
    const int code = errno;
    const std::string there = attached_program(ifindex);
    return fail(doing + device.data(), there.empty() ? "" : "it has a program already: " + there,
                code);
  });
}

bool XdpHook::attached() const {
  bpf_link_info info{};
  std::uint32_t bytes = sizeof info;
  return ::bpf_obj_get_info_by_fd(link_.get(), &info, &bytes) == 0 && info.xdp.ifindex != 0;
}

Result<XdpVerdicts> XdpHook::verdicts() const {
  if (!counter_) return std::unexpected(counter_.error());
  return counter_->read();
}

}  // namespace vethd

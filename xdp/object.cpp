#include "xdp/object.hpp"

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "xdp/log.hpp"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

namespace vethd {
namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using ObjectPtr = std::unique_ptr<bpf_object, CloseObject>;

std::string names_in(const bpf_object* object) {
  std::string names;
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr)
    (names += names.empty() ? "" : ", ") += ::bpf_program__name(program);
  return names;
}

std::string not_an_object(const BpfWarnings& warnings) {
  const std::string cause = warnings.cause();
  return (cause.empty() ? "" : cause + "; ") +
         "it must be a BPF object file: clang -O2 -g -target bpf -c prog.c -o prog.o";
}

}  // namespace

Result<XdpObjectInfo> inspect_xdp(const std::string& path, const std::string& program) {
  const std::string doing = "open XDP program " + program + " of " + path;
  const BpfWarnings warnings;
  const ObjectPtr object{::bpf_object__open_file(path.c_str(), nullptr)};
  if (object == nullptr) {
    const int code = errno;
    if (code == ENOENT) return fail(doing, "there is no such file", code);
    if (code == EACCES) return fail(doing, "it must be readable", code);
    return fail(doing, not_an_object(warnings), ENOEXEC);  // libbpf has numbers of its own
  }
  const bpf_program* found = ::bpf_object__find_program_by_name(object.get(), program.c_str());
  if (found == nullptr) {
    const std::string names = names_in(object.get());
    return fail(doing, names.empty() ? "there is no program in it" : "its programs are: " + names,
                0);
  }
  const std::string_view section = ::bpf_program__section_name(found);
  if (::bpf_program__type(found) != BPF_PROG_TYPE_XDP ||
      ::bpf_program__expected_attach_type(found) != BPF_XDP) {
    return fail(doing,
                "it is in section \"" + std::string(section) +
                    "\"; a program for a device is in \"xdp\" or \"xdp.frags\"",
                EINVAL);
  }
  // libbpf sets the flag only as it loads a program of that section.
  const bool flag = (::bpf_program__flags(found) & BPF_F_XDP_HAS_FRAGS) != 0;
  return XdpObjectInfo{.frags = flag || section.starts_with("xdp.frags")};
}

}  // namespace vethd

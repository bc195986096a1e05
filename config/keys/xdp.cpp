// [pair.a.xdp] and [pair.b.xdp]

#include <climits>

#include "config/keys/readers.hpp"
#include "config/keys/sections.hpp"
#include "config/limits.hpp"

namespace vethd::config {

namespace {

void read_object(const Given& given, Xdp& to) {
  const std::string* path = string_of(given, given.value);
  if (path == nullptr) return;
  if (path->empty() || path->size() >= PATH_MAX || path->find('\0') != std::string::npos) {
    return given.refuse("object is no file name");
  }
  to.object = *path;
}

void read_program(const Given& given, Xdp& to) {
  const std::string* name = string_of(given, given.value);
  if (name == nullptr) return;
  if (name->empty() || name->size() > kMaxProgramName ||
      !std::ranges::all_of(*name, [](char c) { return c > ' ' && c < 0x7f; })) {
    return given.refuse(fmt::format("{} is no program's name", quote(*name)));
  }
  to.program = *name;
}

const std::array kXdpKeys = {
    Key<Xdp>{{.name = "object",
              .unit = "path",
              .standard = "required",
              .example = "\"prog.o\"",
              .rule = "write the path of an ELF file; one without '/' in front starts where vethd "
                      "was started",
              .help = "the object file with the program"},
             read_object},
    Key<Xdp>{{.name = "program",
              .unit = "word",
              .standard = "required",
              .example = "\"xdp_pass\"",
              .rule = "write the name of a function in the object, of at most 127 printable "
                      "characters",
              .help = "which program in it"},
             read_program},
};

}  // namespace

std::vector<KeyInfo> xdp_keys() { return infos(kXdpKeys); }

void read_section(const Table& entries, std::string_view section, Xdp& to, Diagnostics& out) {
  read_keys(kXdpKeys, entries, section, to, out);
}

}  // namespace vethd::config

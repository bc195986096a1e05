#include "daemon/core/panic.hpp"

#include <cstdio>
#include <cstdlib>

namespace vethd {

void panic(std::string_view invariant, std::source_location where) {
  std::fprintf(stderr, "vethd: broken invariant: %.*s (%s:%u)\n",
               static_cast<int>(invariant.size()), invariant.data(), where.file_name(),
               static_cast<unsigned>(where.line()));
  std::abort();
}

}  // namespace vethd

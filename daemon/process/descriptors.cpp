#include "daemon/process/descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace vethd {

Result<void> open_standard_descriptors() {
  for (int wanted = STDIN_FILENO; wanted <= STDERR_FILENO; ++wanted) {
    if (::fcntl(wanted, F_GETFD) >= 0) continue;
    // The lowest free number is this one: those below are open by now. Not close-on-exec.
    if (::open("/dev/null", O_RDWR) != wanted) return fail("open /dev/null", "is /dev there?");
  }
  return {};
}

}  // namespace vethd

// Descriptors 0, 1 and 2 of the process.
#pragma once

#include "daemon/core/result.hpp"

namespace vethd {

/// Opens /dev/null as each of stdin, stdout and stderr that is closed. Otherwise the next socket
/// would get the number, and what is printed would go into it.
///
/// Threads  before anything else opens a descriptor.
/// Errors   /dev/null cannot be opened.
Result<void> open_standard_descriptors();

}  // namespace vethd

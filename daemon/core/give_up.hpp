// The end of a process that is right, and cannot go on.
#pragma once

#include "daemon/core/result.hpp"

namespace vethd {

/// For a thread that cannot pass an error on, when the kernel takes back what it had granted:
/// prints the error and ends the process with exit status 1. Nothing is taken down; the janitor
/// cleans up.
[[noreturn]] void give_up(const Error& error);

}  // namespace vethd

// The host of these tests: a mount and a network namespace of their own with an empty /run, so that
// whatever a test or a crash leaves behind ends with the process and never meets the real host.
#pragma once

#include <string>

namespace vethd::system_test {

/// What keeps the tests from running here; empty when nothing does.
std::string missing_privilege();

/// Moves the process, still single-threaded, into its sandbox; std::system_error when it cannot.
void enter_sandbox();

/// What is in the sandbox that was not there at its start: namespaces, TAPs, processes, the control
/// socket and its directory, one per line. Empty after every test.
std::string leftovers();

}  // namespace vethd::system_test

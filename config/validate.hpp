// What no key can tell alone: whether the parts of a configuration fit together and this host.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/diagnostics.hpp"
#include "config/memory.hpp"
#include "config/schema.hpp"
#include "daemon/core/result.hpp"

namespace vethd::config {

/// What an object file says of an XDP program in it.
struct XdpProgram {
  bool frags = false;  // takes frames that lie in several pages
};

/// What validation knows of the machine it runs on.
struct Host {
  std::vector<std::uint32_t> online_cpus;  // numbers of the CPUs this process may use, ascending
  MemoryLimit memory = {};
  /// Finds a program in an object file. Unset: programs are taken as named, without fragments.
  std::function<Result<XdpProgram>(const std::string& object, const std::string& program)>
      inspect_xdp = {};
};

/// Asks the kernel; main's part.
Result<Host> this_host();

/// Adds every contradiction to the diagnostics, and resolves what depends on the host: workers
/// left out become one per CPU, memory left out grows with them.
///
/// Never  repeats an error: keys that were refused when read are not looked at again.
void validate(Config& config, const Host& host, Diagnostics& out);

}  // namespace vethd::config

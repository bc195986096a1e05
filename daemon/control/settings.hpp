// What the operator reads and sets while the daemon runs: answers to `sysctl` and `set`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/schema.hpp"
#include "daemon/control/pairs.hpp"
#include "daemon/control/protocol.hpp"
#include "daemon/control/sysctl_table.hpp"
#include "daemon/control/worker_set.hpp"

namespace vethd {

/// As the file has them, for a machine that starts.
Sysctls sysctls_of(const config::Softnet& softnet);

/// Control's copy of each machine's sysctls; the workers get theirs by mail. An answer comes when
/// all workers have acted on it.
///
/// Threads  the loop's.
class Settings {
 public:
  using Reply = std::function<void(const Answer&)>;

  Settings(const config::Config& config, Pairs& pairs, WorkerSet& workers);

  /// {"machine": NAME, "values": {"net.core.netdev_budget": "300", ...}}
  void sysctl(const Request& request, const Reply& reply);
  /// {"pair": NAME, "end": "a", "values": {"rps_cpus": "0,1"}}
  void set(const Request& request, const Reply& reply);

 private:
  struct Emulated {
    MachineId id;
    std::string name;
    EmulatedKernel kernel;
    Sysctls sysctls;
  };
  Emulated* find_machine(const std::string& name);

  Pairs& pairs_;
  WorkerSet& workers_;
  std::vector<Emulated> machines_;  // by MachineId
};

}  // namespace vethd

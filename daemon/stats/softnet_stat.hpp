// /proc/net/softnet_stat of an emulated machine.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "daemon/stats/counters.hpp"

namespace vethd {

/// One machine: what a row shows is a matter of its kernel.
struct SoftnetStatReport {
  std::string machine;
  std::string kernel;
  std::size_t columns = 0;  // of a row
  std::vector<SoftnetCounters> cpus;
};

/// `vethctl -j softnet`: {"machines": [{"machine", "kernel", "cpus": [{"processed": 1, ...}]}]}.
/// The columns of that kernel by name, but for those that are always 0.
boost::json::object softnet_json(const std::vector<SoftnetStatReport>& machines);

/// The file as the kernel writes it, a row per CPU; of several machines, each after its name.
///
/// Emulates  net/core/net-procfs.c: softnet_seq_show(): 32 bits in 8 hex digits, which overflow.
/// Errors    as show_text().
std::string softnet_text(const boost::json::object& softnet);

}  // namespace vethd

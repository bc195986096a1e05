// What io_uring can do here, found out by trying.
#pragma once

#include <string>
#include <vector>

#include "daemon/core/result.hpp"

namespace vethd {

/// The features the daemon uses, and what stands in where one is missing.
struct RingSupport {
  unsigned setup_flags = 0;     // IORING_SETUP_*: the best combination the kernel takes
  bool multishot_read = false;  // else chains of linked single-shot reads
  bool msg_ring = false;        // else an eventfd wakes other workers

  /// "multishot reads", "DEFER_TASKRUN", …: for the log and for `vethctl show`.
  [[nodiscard]] std::vector<std::string> in_use() const;
  /// "single-shot reads instead of multishot (needs Linux 6.7)", …; empty: nothing is missing.
  [[nodiscard]] std::vector<std::string> missing() const;
};

/// What an operator can do about an errno of io_uring_setup(), _enter() or _register(). Who says no
/// is told apart by what he can look at.
std::string io_uring_remedy(int error);

/// Tries each feature once. Errors: io_uring is blocked, with by what and how to allow it, or the
/// kernel lacks something without a stand-in.
Result<RingSupport> probe_ring_support();

}  // namespace vethd

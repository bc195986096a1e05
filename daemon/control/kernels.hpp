// The rules of the kernel that a machine was configured to be.
#pragma once

#include "config/schema.hpp"
#include "daemon/pipeline/rules.hpp"

namespace vethd {

inline const Rules& rules_of(config::KernelVersion version) {
  return *kAllRules[static_cast<std::size_t>(version)];
}
static_assert(static_cast<std::size_t>(config::KernelVersion::v6_18) + 1 == kAllRules.size(),
              "every version that can be configured has its rules");

}  // namespace vethd

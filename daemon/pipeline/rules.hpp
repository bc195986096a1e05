// What differs between the kernels a machine can emulate: one table per version, bound when the
// machine is made, so that no stage ever asks for a version.
#pragma once

#include <string_view>

namespace vethd {

struct Rules {
  std::string_view kernel;
};

/// Linux 6.18, whose behaviour the stages have as they stand.
constexpr Rules kRules618{.kernel = "6.18"};

}  // namespace vethd

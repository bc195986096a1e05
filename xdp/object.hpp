// What an object file says of an XDP program, without loading it.
#pragma once

#include <string>

#include "daemon/core/result.hpp"

namespace vethd {

struct XdpObjectInfo {
  bool frags = false;  // takes frames in fragments: section "xdp.frags"
};

/// Errors: no such file; no BPF object; no such program, with those there are; another kind of
/// program. Whether the kernel takes it is not known before it is loaded.
Result<XdpObjectInfo> inspect_xdp(const std::string& object, const std::string& program);

}  // namespace vethd

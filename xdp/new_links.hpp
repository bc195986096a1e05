// Programs that others put on devices by a BPF link, which no link event tells.
#pragma once

#include <cstdint>
#include <vector>

namespace vethd {

/// The kernel numbers BPF links upwards; one question tells whether there are new ones.
///
/// Errors  without CAP_SYS_ADMIN none is ever seen.
class NewXdpLinks {
 public:
  /// The ifindex of every device, in whatever namespace, that has got an XDP link since the last
  /// call.
  std::vector<int> devices();

 private:
  std::uint32_t last_ = 0;  // id
};

}  // namespace vethd

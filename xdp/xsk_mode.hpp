// How an AF_XDP socket and its device exchange frames.
#pragma once

#include <cstdint>

namespace vethd {

enum class XskMode : std::uint8_t {
  zerocopy,  // the device reads and writes the frame memory itself
  copy,      // the driver's XDP hook; the kernel copies
  generic    // the stack's XDP hook, on an sk_buff; the kernel copies
};

constexpr const char* name_of(XskMode mode) {
  switch (mode) {
    case XskMode::zerocopy:
      return "zerocopy";
    case XskMode::copy:
      return "copy";
    case XskMode::generic:
      return "generic";
  }
  return "";
}

}  // namespace vethd

// What an XDP program said of the frames it saw, by return code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vethd {

// include/uapi/linux/bpf.h, enum xdp_action, in its order; other is what the kernel treats as
// aborted.
#define VETHD_XDP_VERDICTS(X) \
  X(aborted)                  \
  X(drop)                     \
  X(pass)                     \
  X(tx)                       \
  X(redirect)                 \
  X(other)

/// In frames, since the program was attached.
struct XdpVerdicts {
#define X(name) std::uint64_t name = 0;
  VETHD_XDP_VERDICTS(X)
#undef X
  friend bool operator==(const XdpVerdicts&, const XdpVerdicts&) = default;
};

/// What became of them, as far as it is counted.
struct XdpCounts {
  XdpVerdicts verdicts;
  std::uint64_t tx_errors = 0;  // of tx: lost, because the other end runs no program
  friend bool operator==(const XdpCounts&, const XdpCounts&) = default;
};

/// visit(name, value); Verdicts is XdpVerdicts, const or not.
template <class Verdicts, class Visit>
void for_each_verdict(Verdicts&& verdicts, Visit&& visit) {
#define X(name) visit(std::string_view{#name}, verdicts.name);
  VETHD_XDP_VERDICTS(X)
#undef X
}

}  // namespace vethd

// Our program around somebody else's XDP program.
#pragma once

#include <memory>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/stats/verdicts.hpp"

struct call_bpf;

namespace vethd {

/// call.bpf.c, loaded: on a device it does what the user's program says, as far as a veth would.
///
/// Shape   the kernel forgets which program to call when this object goes; take it off the device
///         first.
/// Errors  the kernel has no BPF JIT, without which a call does not return.
class XdpCaller {
 public:
  /// frags: whether the program takes frames in fragments; the caller must take them, too.
  static Result<XdpCaller> load(int program_fd, const std::string& program, bool frags);

  [[nodiscard]] int fd() const;  // of the program to attach

  /// Whether the other end runs a program, so that a veth would take what this one sends back.
  /// Until it is said: no.
  void peer_runs_xdp(bool runs);

  [[nodiscard]] Result<XdpCounts> counts() const;  // since it was loaded

 private:
  struct Destroy {
    void operator()(call_bpf* skeleton) const;
  };
  using Skeleton = std::unique_ptr<call_bpf, Destroy>;

  explicit XdpCaller(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}

  Skeleton skeleton_;
};

}  // namespace vethd

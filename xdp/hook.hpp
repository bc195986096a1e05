// One XDP program on one device.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "daemon/stats/verdicts.hpp"
#include "xdp/verdict_counter.hpp"

namespace vethd {

/// Opened through libxdp, attached natively by a BPF link: it goes with this object, or with the
/// process, SIGKILL included. No dispatcher: a device has one program.
///
/// Emulates  veth's XDP hook by that of a TAP, which sees what the daemon writes.
/// Shape     the device may be renamed or moved to another namespace: the program moves with it.
/// Errors    the device has a program already, which is named; the verifier's complaint.
class XdpHook {
 public:
  static Result<XdpHook> attach(const Netns& ns, int ifindex, const std::string& object,
                                const std::string& program);

  [[nodiscard]] std::uint32_t id() const { return id_; }  // of the program, for bpftool
  /// False once somebody has detached the link by force, or the device is gone.
  [[nodiscard]] bool attached() const;
  /// All since it was attached; the error says why nobody counts.
  [[nodiscard]] Result<XdpVerdicts> verdicts() const;

 private:
  XdpHook(Fd link, std::uint32_t id, Result<VerdictCounter> counter)
      : link_(std::move(link)), id_(id), counter_(std::move(counter)) {}

  Fd link_;
  std::uint32_t id_;
  Result<VerdictCounter> counter_;
};

}  // namespace vethd

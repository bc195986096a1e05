// One XDP program on one device.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "daemon/stats/verdicts.hpp"
#include "xdp/caller.hpp"
#include "xdp/link.hpp"

namespace vethd {

/// The user's, opened through libxdp and called by our own, which is what stands on the device.
///
/// Emulates  veth's XDP hook by that of a TAP, which sees what the daemon writes.
/// Errors    XdpLink's and XdpCaller's; the verifier's complaint.
class XdpHook {
 public:
  static Result<XdpHook> attach(const Netns& ns, int ifindex, const std::string& object,
                                const std::string& program, XdpAttach how);

  [[nodiscard]] std::uint32_t id() const { return id_; }  // of the user's program, for bpftool
  [[nodiscard]] std::uint32_t caller_id() const { return caller_id_; }  // on the device
  /// False once somebody has detached it by force, or the device is gone.
  [[nodiscard]] bool attached() const { return link_.attached(); }

  void peer_runs_xdp(bool runs) { caller_.peer_runs_xdp(runs); }
  /// All since it was attached.
  [[nodiscard]] Result<XdpCounts> counts() const { return caller_.counts(); }

 private:
  XdpHook(XdpCaller caller, XdpLink link, std::uint32_t id, std::uint32_t caller_id)
      : caller_(std::move(caller)), link_(std::move(link)), id_(id), caller_id_(caller_id) {}

  XdpCaller caller_;
  XdpLink link_;  // goes first
  std::uint32_t id_;
  std::uint32_t caller_id_;
};

}  // namespace vethd

// One XDP program on one device.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "daemon/stats/verdicts.hpp"
#include "xdp/link.hpp"
#include "xdp/verdict_counter.hpp"

namespace vethd {

/// The user's, opened through libxdp, and the count of its verdicts.
///
/// Emulates  veth's XDP hook by that of a TAP, which sees what the daemon writes.
/// Errors    XdpLink's; the verifier's complaint.
class XdpHook {
 public:
  static Result<XdpHook> attach(const Netns& ns, int ifindex, const std::string& object,
                                const std::string& program);

  [[nodiscard]] std::uint32_t id() const { return id_; }  // of the program, for bpftool
  [[nodiscard]] bool attached() const { return link_.attached(); }
  /// All since it was attached; the error says why nobody counts.
  [[nodiscard]] Result<XdpVerdicts> verdicts() const;

 private:
  XdpHook(XdpLink link, std::uint32_t id, Result<VerdictCounter> counter)
      : link_(std::move(link)), id_(id), counter_(std::move(counter)) {}

  XdpLink link_;
  std::uint32_t id_;
  Result<VerdictCounter> counter_;
};

}  // namespace vethd

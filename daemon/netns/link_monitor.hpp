// What happens to the devices of one namespace, as it happens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/core/result.hpp"
#include "daemon/netns/links.hpp"
#include "daemon/netns/namespace.hpp"
#include "daemon/netns/route_socket.hpp"

namespace vethd {

struct LinkEvent {
  enum class Kind : std::uint8_t {
    changed,  // new, or changed, or its qdisc has; only the ifindex of link is sure to be there
    removed,  // gone from this namespace: deleted, or moved to another
    overrun,  // events were lost: read every device anew; link is empty
  };
  Kind kind = Kind::changed;
  LinkState link;
};

/// One socket in the multicast groups RTNLGRP_LINK and RTNLGRP_TC of one namespace.
///
/// Threads  one owner, whose event loop waits for fd() to become readable.
/// Never    blocks.
class LinkMonitor {
 public:
  using Sink = std::function<void(const LinkEvent&)>;

  static constexpr int kMessagesPerRead = 256;

  /// Events from this call on are reported: look at a device after opening, not before.
  static Result<LinkMonitor> open(const Netns& ns);

  LinkMonitor(LinkMonitor&&) noexcept;
  LinkMonitor& operator=(LinkMonitor&&) noexcept;
  ~LinkMonitor();

  [[nodiscard]] int fd() const;

  /// Gives waiting events to sink, of at most kMessagesPerRead messages; returns whether more may
  /// be waiting. After an error the monitor is of no use any more.
  Result<bool> read(const Sink& sink);

 private:
  LinkMonitor(RouteSocket socket, std::string label);

  std::unique_ptr<std::vector<LinkEvent>> events_;  // the socket's callback appends here
  RouteSocket socket_;
  std::string label_;
};

}  // namespace vethd

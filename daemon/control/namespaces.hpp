// The namespaces in which pairs have ends: held open, listened to, and let go when nobody else
// would keep them alive.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/schema.hpp"
#include "daemon/control/loop.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/janitor.hpp"
#include "daemon/netns/link_monitor.hpp"
#include "daemon/netns/links.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// One namespace with one socket for requests and one for events.
struct HeldNetns {
  Netns netns;
  Links links;
  std::optional<LinkMonitor> monitor;  // until stop_listening()
  Loop::WatchPtr watch;
  bool kept;            // has been seen with a name, a process, or a path
  std::string keeper;   // a path that leads to it, the last one found; may be empty
  bool looked = false;  // for a path, before anything was seen to keep it
};

/// Threads  the loop's.
class Namespaces {
 public:
  using OnLink = std::function<void(HeldNetns&, const LinkEvent&)>;
  using OnOrphan = std::function<void(const HeldNetns&)>;

  /// on_orphan: what was seen to keep the namespace (a name, a process, a descriptor or mount of
  /// some process) does so no more. The kernel would have removed it with a veth in it; a TAP keeps
  /// it, as long as it is open.
  Namespaces(Loop& loop, Janitor& janitor, bool create, OnLink on_link, OnOrphan on_orphan);

  /// The namespace a configuration names. Makes it if it is a name that does not exist, and the
  /// configuration allows it.
  Result<std::shared_ptr<HeldNetns>> find(const config::NetnsRef& ref);
  /// The namespace a device was found in.
  Result<std::shared_ptr<HeldNetns>> adopt(Fd fd);

  /// No more events, for the end: each event of any namespace costs the kernel a look at every
  /// socket that listens, in whatever namespace it is.
  void stop_listening();

  [[nodiscard]] NetnsId own() const { return own_; }

 private:
  Result<std::shared_ptr<HeldNetns>> hold(Netns netns, bool kept);
  void read_events(HeldNetns& held);
  static bool is_reachable(HeldNetns& held);
  void check_soon(std::chrono::milliseconds delay);
  void check_orphans();

  Loop& loop_;
  Janitor& janitor_;
  bool create_;
  OnLink on_link_;
  OnOrphan on_orphan_;
  NetnsId own_;
  std::unordered_map<NetnsId, std::weak_ptr<HeldNetns>> held_;
  /// A namespace we made stays held until others have removed it, so that its inode number means
  /// this one for as long as the janitor has it on its list.
  struct Made {
    Janitor::Registration registration;
    std::shared_ptr<HeldNetns> held;
  };
  std::unordered_map<NetnsId, Made> made_;
  Fd mountinfo_;
  Loop::WatchPtr mounts_changed_;
  Loop::WatchPtr recheck_;
};

}  // namespace vethd

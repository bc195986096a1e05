// Notices when the janitor has died, and has it replaced.
#pragma once

#include <chrono>

#include "daemon/control/loop.hpp"
#include "daemon/netns/janitor.hpp"

namespace vethd {

/// Without a janitor nothing would be cleaned up after SIGKILL.
///
/// Threads  the loop's.
class JanitorWatch {
 public:
  // The first death is answered at once; whoever goes on killing them, or a host without room for a
  // process, costs one attempt per turn.
  static constexpr std::chrono::seconds kTurn{1};

  /// Both outlive this object.
  JanitorWatch(Loop& loop, Janitor& janitor);

 private:
  void listen();
  void replace();

  Loop& loop_;
  Janitor& janitor_;
  Loop::WatchPtr ended_;
  Loop::WatchPtr again_;
};

}  // namespace vethd

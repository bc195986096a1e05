// Says how many log lines were left out, while the daemon runs.
#pragma once

#include <chrono>

#include "daemon/control/loop.hpp"
#include "daemon/process/log_sink.hpp"

namespace vethd {

/// Sleeps while nothing is left out.
///
/// Threads  the loop's; the sink may be called by any.
class LeftOutLines {
 public:
  static constexpr std::chrono::seconds kEvery{10};

  /// Both outlive this object.
  LeftOutLines(Loop& loop, LogSink& sink);
  LeftOutLines(const LeftOutLines&) = delete;
  LeftOutLines& operator=(const LeftOutLines&) = delete;
  ~LeftOutLines();

 private:
  void say_later();

  Loop& loop_;
  LogSink& sink_;
  Loop::WatchPtr later_;
};

}  // namespace vethd

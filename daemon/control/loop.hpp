// The control side's event loop. Boost.Asio stays behind it: its headers cost more than half a
// minute per file that sees them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace vethd {

/// Threads  run() and everything else by main's thread; post() by any.
class Loop {
 public:
  enum class Event : bool {
    readable,
    exceptional  // EPOLLPRI or EPOLLERR: how /proc/self/mountinfo says that mounts have changed
  };
  using Handler = std::function<void()>;

  /// A wait that goes on until it is destroyed. The descriptor stays the caller's.
  class Watch;
  struct FreeWatch {
    void operator()(Watch* watch) const;
  };
  using WatchPtr = std::unique_ptr<Watch, FreeWatch>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void post(Handler handler);
  [[nodiscard]] WatchPtr watch(int fd, Event event, Handler handler);
  /// Calls handler once, unless destroyed before.
  [[nodiscard]] WatchPtr after(std::chrono::milliseconds delay, Handler handler);
  /// Calls handler for each of them from now on; one that comes before run() waits for it. A
  /// program that is started from here has them as it should: handlers do not survive exec.
  void on_signals(const std::vector<int>& signals, std::function<void(int)> handler);

  void run();
  void stop();

  [[nodiscard]] boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vethd

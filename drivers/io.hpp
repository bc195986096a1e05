// Where a worker meets everything outside: it waits here, and here endpoints come to life.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/frame/list.hpp"
#include "drivers/endpoint.hpp"

namespace vethd {

class Xsk;

/// What to attach: one queue of a device. The descriptor stays open until after detach(), a socket
/// until after abandon().
struct EndpointSetup {
  int fd = -1;                    // of a TAP
  std::uint32_t vnet_bytes = 10;  // of a TAP: Tap::vnet_bytes()
  PathId path;                    // direction of the frames that enter here
  QueueId queue;
  CpuId owner{};       // the worker that reads it
  bool reads = false;  // it is this one
  Xsk* xsk = nullptr;  // an AF_XDP socket instead; not shared
  bool shared = true;  // every worker may write, not only the owner
};

/// Reading from an endpoint has ended for good.
struct EndpointFailure {
  PathId path;
  QueueId queue;
  int error = 0;  // errno
};

/// One worker's way to the outside: io_uring in the daemon, queues in memory in the simulation.
///
/// Threads  the worker's, all of it.
class Io {
 public:
  virtual ~Io() = default;

  /// Makes the calling thread the owner; before anything else.
  virtual Result<void> start() = 0;

  /// Sends off what was transmitted and collects what has happened; the worker's only blocking
  /// point. Returns when there is something, or at once unless `block`; whether there was.
  virtual bool wait(bool block) = 0;
  /// Whether wait() would find something now, as far as can be seen without a system call.
  [[nodiscard]] virtual bool has_events() const = 0;

  /// Endpoints with arrivals. The worker takes out those it has emptied.
  virtual std::vector<Endpoint*>& ready() = 0;
  /// Frames whose transmission has ended, with the errno on each.
  virtual FrameList& written() = 0;
  /// Calls visit for each frame that transmit() has and written() has not yet. Not for every round.
  virtual void for_each_pending(const std::function<void(const Frame&)>& visit) const = 0;
  /// Whether another worker or control has sent word since the last call.
  virtual bool take_wake() = 0;

  /// Gives free landing buffers to the kernel again and resumes what paused for lack of them.
  virtual void refill() = 0;
  /// Whether some reading stays paused because not one buffer is free.
  [[nodiscard]] virtual bool is_starved() const = 0;
  /// Paths whose reading has paused for lack of a buffer, once per pause. The worker empties it.
  virtual std::vector<PathId>& paused() = 0;
  /// Endpoints that cannot be read any more. The worker empties it.
  virtual std::vector<EndpointFailure>& failures() = 0;

  virtual Result<Endpoint*> attach(const EndpointSetup& setup) = 0;
  /// Ends reading. Frames that arrive meanwhile still come.
  virtual void stop_reading(Endpoint& endpoint) = 0;
  /// Whether stop_reading() has taken effect and nothing of it is in flight.
  [[nodiscard]] virtual bool is_quiet(const Endpoint& endpoint) const = 0;
  /// Reading stops until resume_reading(); what has arrived, and what arrives meanwhile, stays.
  virtual void pause_reading(Endpoint& endpoint) = 0;
  virtual void resume_reading(Endpoint& endpoint) = 0;
  /// Touches the device of a quiet endpoint no more. What is transmitted from here on, and what an
  /// AF_XDP socket has in its rings, ends as ECANCELED by detach().
  virtual void abandon(Endpoint& endpoint) = 0;
  /// Forgets an abandoned endpoint. A socket has been closed: nobody else uses its memory.
  virtual void detach(Endpoint& endpoint) = 0;

  /// Makes another worker return from wait().
  virtual void wake(CpuId worker) = 0;
};

}  // namespace vethd

// What a worker sees of a device: frames come out of it, frames go into it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/core/ids.hpp"
#include "daemon/frame/list.hpp"

namespace vethd {

/// One queue of one end of a pair, as one worker uses it. TAP, AF_XDP and in-memory endpoints are
/// told apart only by what they can do.
///
/// Threads  the worker's, all of it.
class Endpoint {
 public:
  Endpoint(PathId path, QueueId queue) : path_(path), queue_(queue) {}
  virtual ~Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// Moves frames that have arrived to `batch`, oldest first, at most `limit`.
  void receive(FrameList& batch, std::size_t limit) { batch.splice(arrived_, limit); }
  /// Takes back, in front of the others, what receive() gave and nobody wanted.
  void give_back(FrameList& batch) {
    batch.splice(arrived_);
    arrived_.splice(batch);
  }
  /// Whether receive() would hand over more.
  [[nodiscard]] bool has_arrivals() const { return !arrived_.empty(); }
  /// What has arrived, for whoever must know where every frame is.
  [[nodiscard]] FrameList& arrived() { return arrived_; }

  /// Takes all frames, in order. Each comes out of the worker's Io::written() later, once.
  virtual void transmit(FrameList& frames) = 0;

  [[nodiscard]] PathId path() const { return path_; }  // that of frames which enter here
  [[nodiscard]] QueueId queue() const { return queue_; }

 protected:
  FrameList arrived_{Holder::endpoint};

 private:
  PathId path_;
  QueueId queue_;
};

}  // namespace vethd

// What a worker sees of a device: frames come out of it, frames go into it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/core/ids.hpp"
#include "daemon/frame/list.hpp"
#include "drivers/turn.hpp"

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

  /// Moves frames that have arrived to `batch`, oldest first: at most `limit`, and what fits in a
  /// turn. Returns what they weigh.
  std::uint32_t receive(FrameList& batch, std::size_t limit) {
    std::uint32_t weight = 0;
    std::size_t count = 0;
    for (const Frame* frame = arrived_.front();
         frame != nullptr && count < limit && weight < turn_.share(); frame = frame->next) {
      weight += frame->weight();
      ++count;
    }
    batch.splice(arrived_, count);
    return weight;
  }
  /// How much it may bring at a time.
  [[nodiscard]] Turn& turn() { return turn_; }
  [[nodiscard]] const Turn& turn() const { return turn_; }
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
  /// Plain frames that transmit() would not drop for lack of room. Asked of ends that take no
  /// super-frames, before those are split.
  [[nodiscard]] virtual std::size_t transmit_room() { return SIZE_MAX; }

  [[nodiscard]] PathId path() const { return path_; }  // that of frames which enter here
  [[nodiscard]] QueueId queue() const { return queue_; }

 protected:
  FrameList arrived_{Holder::endpoint};

 private:
  PathId path_;
  QueueId queue_;
  Turn turn_;
};

}  // namespace vethd

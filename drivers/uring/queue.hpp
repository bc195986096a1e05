// What all endpoints on one worker's io_uring have in common.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/frame/pool.hpp"
#include "daemon/ring/ring.hpp"
#include "drivers/io.hpp"
#include "drivers/uring/landing_buffers.hpp"
#include "drivers/uring/pieces.hpp"

namespace vethd {

class UringQueue;

/// The ring they share, and where they put what they have to say.
struct UringShared {
  Ring ring;
  FramePool& pool;
  LandingBuffers landing;
  // Who reads how much: tap_queue.cpp.
  std::uint64_t turns = 0;       // refills
  std::size_t busy_readers = 0;  // of all TAPs
  const void* last_reader = nullptr;
  std::uint64_t shared_until = 0;  // the turn until which somebody else counts as reading, too
  bool multishot;                  // reads that stay armed
  Pieces pieces;
  FrameList written{Holder::written};
  FrameList pending{Holder::pending_write};  // with an operation of their own
  std::vector<Endpoint*> ready;
  std::vector<UringQueue*> starved;  // would read, and have no buffer to read into
  std::vector<PathId> paused;
  std::vector<EndpointFailure> failures;
};

/// One queue of one device, on a worker's io_uring.
class UringQueue : public Endpoint {
 public:
  UringQueue(UringShared& io, const EndpointSetup& setup, std::uint16_t file_slot,
             std::uint32_t serial)
      : Endpoint(setup.path, setup.queue), slot(file_slot), generation(serial), io_(io) {}

  virtual void start_reading() = 0;
  /// Frames that arrive meanwhile still come.
  virtual void stop_reading() = 0;
  /// Not reading, and nothing of it in flight; frames being written do not count.
  [[nodiscard]] virtual bool is_quiet() const = 0;

  /// Touches the device no more: Io::abandon(). Then, before it goes, ends what was in flight.
  virtual void abandon() = 0;
  virtual void reclaim() = 0;

  /// An operation of its own has completed: one with its slot and generation.
  virtual void complete(const Completion& completion, const io_uring_cqe& cqe) = 0;
  /// Buffers have come home: called while it stands in `starved`. False: none for this one.
  virtual bool resume() = 0;
  /// The turn that it last got a buffer in. Who has waited longest is the first to read again.
  [[nodiscard]] std::uint64_t last_turn() const { return last_turn_; }

  const std::uint16_t slot;        // of the registered file
  const std::uint32_t generation;  // completions of a former queue in this slot do not match

 protected:
  /// An entry to fill in; its completion comes here.
  io_uring_sqe& next_sqe() { return io_.ring.next_sqe(); }
  [[nodiscard]] std::uint64_t user_data(Op op) const {
    return Completion{.op = op, .slot = slot, .value = generation}.user_data();
  }

  UringShared& io_;
  std::uint64_t last_turn_ = 0;
};

}  // namespace vethd

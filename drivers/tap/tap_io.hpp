// TAPs through io_uring: all queues of one worker share its ring and its landing buffers.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/frame/chain.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/ring/ring.hpp"
#include "drivers/io.hpp"

namespace vethd {

/// Reads with buffers the kernel picks when a frame is there, so that a thousand idle TAPs hold
/// none. Writes each frame from where it was read, in order.
///
/// Shape    at most kMaxEndpoints at a time, fewer if RLIMIT_NOFILE is lower.
/// Threads  made by main; used by the worker from start() on. wake_fd() is for everybody.
class TapIo final : public Io {
 public:
  static constexpr unsigned kMaxEndpoints = 65535;  // Completion::slot
  // Reads in flight where multishot does not work. Hard links keep them in order, and keep all but
  // the first from waiting on the device.
  static constexpr unsigned kChainReads = 8;

  static Result<std::unique_ptr<TapIo>> create(const RingSupport& support, FramePool& pool);
  ~TapIo() override;

  /// How to wake other workers: their rings, by CpuId. Before start().
  void set_peers(std::vector<const TapIo*> peers) { peers_ = std::move(peers); }
  /// Writing eight bytes to it (eventfd) wakes the worker, from any thread.
  [[nodiscard]] int wake_fd() const { return event_.get(); }

  Result<void> start() override;
  bool wait(bool block) override;
  [[nodiscard]] bool has_events() const override { return ring_.has_events(); }
  std::vector<Endpoint*>& ready() override { return ready_; }
  FrameList& written() override { return written_; }
  [[nodiscard]] const FrameList& pending() const override { return pending_; }
  bool take_wake() override { return std::exchange(woken_, false); }
  void refill() override;
  [[nodiscard]] bool is_starved() const override { return !rearm_.empty(); }
  std::vector<PathId>& paused() override { return paused_; }
  std::vector<EndpointFailure>& failures() override { return failures_; }
  Result<Endpoint*> attach(const EndpointSetup& setup) override;
  void stop_reading(Endpoint& endpoint) override;
  void pause_reading(Endpoint& endpoint) override { stop_reading(endpoint); }
  void resume_reading(Endpoint& endpoint) override;
  [[nodiscard]] bool is_quiet(const Endpoint& endpoint) const override;
  void detach(Endpoint& endpoint) override;
  void wake(CpuId worker) override;

 private:
  class Queue;
  struct FreeBufferRing {
    void operator()(io_uring_buf_ring* ring) const;
  };

  TapIo(Ring ring, const RingSupport& support, FramePool& pool, Fd event,
        std::unique_ptr<io_uring_buf_ring, FreeBufferRing> buffers);

  void complete(const io_uring_cqe& cqe);
  void complete_read(Queue& queue, const io_uring_cqe& cqe);
  void complete_write(const Completion& completion, const io_uring_cqe& cqe);
  void arm(Queue& queue);
  void arm_wake();
  void wake_by_event(CpuId worker);
  void cancel(const Queue& queue);
  void write(const Queue& queue, Frame& frame);
  const iovec* gather(const Frame& frame, std::byte* start);

  Ring ring_;
  FramePool& pool_;
  std::unique_ptr<io_uring_buf_ring, FreeBufferRing> buffers_;
  FrameList written_{Holder::written};
  FrameList pending_{Holder::pending_write};
  std::vector<Endpoint*> ready_;
  std::vector<Queue*> rearm_;                   // reading queues with no read in flight
  std::vector<std::unique_ptr<Queue>> queues_;  // by slot = registered file
  std::vector<std::uint16_t> free_slots_;
  std::vector<PathId> paused_;
  std::size_t lent_ = 0;        // landing buffers in the buffer ring
  std::size_t recent_len_ = 0;  // bytes; a maximum that fades
  // Pieces of merged frames, for writes not yet submitted: the kernel copies the list then.
  using Pieces = std::array<iovec, kMaxFragments + 1>;
  std::deque<Pieces> pieces_;
  std::size_t pieces_used_ = 0;
  bool woken_ = false;
  // Below: set up once.
  bool multishot_;
  bool msg_ring_;
  Fd event_;
  std::uint64_t event_count_ = 0;  // where the kernel puts what it read from event_
  std::vector<const TapIo*> peers_;
  std::vector<EndpointFailure> failures_;
  std::uint32_t next_generation_ = 0;
};

}  // namespace vethd

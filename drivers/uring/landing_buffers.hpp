// The landing buffers of one worker, as the kernel picks from them.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <memory>

#include "daemon/core/result.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/ring/ring.hpp"

namespace vethd {

/// A buffer ring: a read takes its buffer when a frame is there, so that a thousand idle TAPs hold
/// none.
class LandingBuffers {
 public:
  static constexpr unsigned short kGroup = 0;  // buf_group of the reads

  static Result<LandingBuffers> create(Ring& ring, FramePool& pool);

  /// Lends free buffers to the kernel: as many as are hot, of small frames all there are.
  void refill();
  /// Whether a read would find one.
  [[nodiscard]] bool any() const { return lent_ != 0; }

  /// The kernel has picked one, for a frame of `len` bytes.
  FrameAddr take(const io_uring_cqe& cqe) {
    --lent_;
    return pool_->arena().landing(pool_->worker(), cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  void received(std::size_t len);

 private:
  struct Unmap {
    void operator()(io_uring_buf_ring* ring) const;
  };
  using RingPtr = std::unique_ptr<io_uring_buf_ring, Unmap>;

  LandingBuffers(RingPtr ring, FramePool& pool) : ring_(std::move(ring)), pool_(&pool) {}

  RingPtr ring_;
  FramePool* pool_;
  std::size_t lent_ = 0;
  std::size_t recent_len_ = 0;  // bytes; a maximum that fades
};

}  // namespace vethd

// The landing buffers of one worker, as the kernel picks from them.
#pragma once

#include <liburing.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "daemon/core/result.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/ring/ring.hpp"

namespace vethd {

/// How a TAP reads.
enum class Reader : std::uint8_t {
  quiet,  // one read that stays armed and takes all frames that it finds, while there are buffers
  busy    // would leave nothing to the others: so many reads as its share of a turn
};

/// A buffer ring for each kind of reader: a read takes its buffer when a frame is there, so that a
/// thousand idle TAPs hold none.
class LandingBuffers {
 public:
  // What busy readers have together; the rest is kept for quiet ones while there are busy ones.
  static constexpr std::size_t kBusyBuffers = kLandingBuffers / 2;

  static Result<LandingBuffers> create(Ring& ring, FramePool& pool);

  /// Lends free buffers to the kernel: as many as are hot, of small frames all there are.
  void refill(bool any_busy);
  /// Those that a read would find.
  [[nodiscard]] std::size_t lent(Reader group_of) const { return group(group_of).lent; }
  /// Buffers that the last refill() left there.
  [[nodiscard]] std::size_t offered(Reader reader) const { return group(reader).offered; }

  /// The kernel has picked one.
  FrameAddr take(Reader reader, const io_uring_cqe& cqe) {
    --group(reader).lent;
    return pool_->arena().landing(pool_->worker(), cqe.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  /// For a frame of `len` bytes.
  void received(Reader reader, std::size_t len);

 private:
  struct Unmap {
    void operator()(io_uring_buf_ring* ring) const;
  };
  using RingPtr = std::unique_ptr<io_uring_buf_ring, Unmap>;
  struct Group {
    RingPtr ring;
    std::size_t lent = 0;
    std::size_t offered = 0;     // lent after the last refill()
    std::size_t recent_len = 0;  // bytes; a maximum that fades
  };

  explicit LandingBuffers(FramePool& pool) : pool_(&pool) {}
  static Result<RingPtr> register_ring(Ring& ring, Reader reader);
  [[nodiscard]] Group& group(Reader reader) { return groups_[static_cast<std::size_t>(reader)]; }
  [[nodiscard]] const Group& group(Reader reader) const {
    return groups_[static_cast<std::size_t>(reader)];
  }
  void lend(Group& group, std::size_t limit);

  std::array<Group, 2> groups_;
  FramePool* pool_;
};

}  // namespace vethd

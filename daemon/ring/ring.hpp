// One io_uring: typed completions, a submission queue that is never full, one place to wait.
#pragma once

#include <liburing.h>

#include <bit>
#include <cstdint>
#include <memory>

#include "daemon/core/panic.hpp"
#include "daemon/core/result.hpp"
#include "daemon/ring/support.hpp"

namespace vethd {

enum class Op : std::uint8_t {
  read,    // slot: endpoint slot, value: its generation
  write,   // value: FrameId
  wake,    // another worker's MSG_RING: look at the hand-over queues and the mailbox
  event,   // the eventfd: the same, and the read of it must be armed again
  woke,    // our own MSG_RING has failed; value: CpuId it was for. Success says nothing
  kick,    // of an AF_XDP socket: slot and value as for reads
  call,    // of an AF_XDP socket, to receive: the same. Completes only if it was turned down
  pause,   // a sleep that must not last: no more than a reason to look
  cancel,  // of a read: slot and value as there. The read's own completion says that it has ended
};

/// What an io_uring user_data means, in one place.
struct Completion {
  Op op{};
  std::uint8_t unused = 0;
  std::uint16_t slot = 0;
  std::uint32_t value = 0;

  [[nodiscard]] std::uint64_t user_data() const { return std::bit_cast<std::uint64_t>(*this); }
  static Completion of(const io_uring_cqe& cqe) {
    return std::bit_cast<Completion>(static_cast<std::uint64_t>(cqe.user_data));
  }
};
static_assert(sizeof(Completion) == sizeof(std::uint64_t), "must fit io_uring user_data");

// Sized for one round: a batch from each of several sources, their writes, wake-ups.
constexpr unsigned kSqEntries = 256;
constexpr unsigned kCqEntries = 4096;

/// Threads  created anywhere, then enable() by the thread that uses it from there on.
class Ring {
 public:
  static Result<Ring> create(const RingSupport& support);

  Ring(Ring&&) = default;

  /// Binds the ring to the calling thread. Before this nothing is submitted.
  Result<void> enable();

  /// An empty entry to fill in. When the queue is full, what is there is submitted first, in order.
  io_uring_sqe& next_sqe();

  /// Submits what is queued and waits until something has completed, or only looks. Then calls
  /// visit(const io_uring_cqe&) for what is there, at most kCqEntries; returns how often.
  template <class Visit>
  unsigned run(bool block, Visit&& visit) {
    submit(block);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring_.get(), head, cqe) {
      visit(static_cast<const io_uring_cqe&>(*cqe));
      if (++seen == kCqEntries) break;
    }
    io_uring_cq_advance(ring_.get(), seen);
    return seen;
  }

  /// Whether run() would visit something now, as memory shared with the kernel says. A kernel that
  /// runs completions at any time (no TASKRUN_FLAG) has them there already.
  [[nodiscard]] bool has_events() const {
    constexpr unsigned kFlags = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return io_uring_cq_ready(ring_.get()) != 0 ||
           (__atomic_load_n(ring_->sq.kflags, __ATOMIC_RELAXED) & kFlags) != 0;
  }

  [[nodiscard]] int fd() const { return ring_->ring_fd; }
  [[nodiscard]] io_uring& raw() { return *ring_; }

 private:
  struct Exit {
    void operator()(io_uring* ring) const {
      io_uring_queue_exit(ring);
      delete ring;
    }
  };
  explicit Ring(std::unique_ptr<io_uring, Exit> ring) : ring_(std::move(ring)) {}
  void submit(bool block);

  std::unique_ptr<io_uring, Exit> ring_;
};

}  // namespace vethd

#include "daemon/ring/ring.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/core/give_up.hpp"

namespace vethd {
namespace {

constexpr int kSubmitTries = 1000;

/// The kernel serves this thread no longer. EBADR: completions are lost, and frames with them.
[[noreturn]] void refuse(int code) {
  give_up({.code = code, .doing = "submit to io_uring", .hint = io_uring_remedy(code)});
}

}  // namespace

Result<Ring> Ring::create(const RingSupport& support) {
  auto raw = std::make_unique<io_uring>();
  io_uring_params params{};
  params.flags = support.setup_flags | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  params.cq_entries = kCqEntries;
  const int error = io_uring_queue_init_params(kSqEntries, raw.get(), &params);
  if (error < 0)
    return fail("create an io_uring", io_uring_remedy(-error) + ", or lower [daemon] workers",
                -error);
  return Ring(std::unique_ptr<io_uring, Exit>(raw.release()));
}

Result<void> Ring::enable() {
  // liburing 2.3 declares io_uring_enable_rings() and does not export it.
  if (::syscall(__NR_io_uring_register, ring_->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) <
      0) {
    const int code = errno;
    return fail("enable an io_uring", io_uring_remedy(code), code);
  }
  // Saves a descriptor look-up per call; a kernel without it (before 5.18) simply does the look-up.
  static_cast<void>(io_uring_register_ring_fd(ring_.get()));
  return {};
}

io_uring_sqe& Ring::next_sqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
  // More than once only while the kernel is short of memory for requests.
  for (int tries = 0; sqe == nullptr && tries < kSubmitTries; ++tries) {
    submit(false);
    sqe = io_uring_get_sqe(ring_.get());
  }
  if (sqe == nullptr) refuse(ENOMEM);
  return *sqe;
}

void Ring::submit(bool block) {
  const int result = block ? io_uring_submit_and_wait(ring_.get(), 1)
                           : io_uring_submit_and_get_events(ring_.get());
  // EBUSY: the completion queue has overflowed; it is emptied next. EAGAIN, ENOMEM: out of memory
  // for requests; what was not submitted stays queued for the next call.
  const bool passing = result == -EINTR || result == -EBUSY || result == -EAGAIN ||
                       result == -ENOMEM || result == -ETIME;
  if (result < 0 && !passing) refuse(-result);
}

}  // namespace vethd

#include "drivers/uring/landing_buffers.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>

namespace vethd {
namespace {

static_assert(std::has_single_bit(kLandingBuffers), "a buffer ring has a power of two of entries");
constexpr std::size_t kRingBytes = kLandingBuffers * sizeof(io_uring_buf);

// The kernel takes lent buffers in turn, so all of them are the working set. Super-frames leave the
// cache (1 MiB of L2 and more on servers) unless few are lent: one TCP stream ran at 0.95 of a
// plain forwarder's rate with 64 lent and 1.11 with 8. Small frames touch little of a buffer and
// need many.
constexpr std::size_t kHotBytes = 512UL << 10;
constexpr std::size_t kFewBuffers = 8;
constexpr int kFadeShift = 6;  // the longest recent frame is forgotten by 1/64 a read

}  // namespace

void LandingBuffers::Unmap::operator()(io_uring_buf_ring* ring) const {
  ::munmap(ring, kRingBytes);
}

Result<LandingBuffers> LandingBuffers::create(Ring& ring, FramePool& pool) {
  void* const memory =
      ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail("map a buffer ring");
  RingPtr buffers(static_cast<io_uring_buf_ring*>(memory));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = kLandingBuffers;
  registration.bgid = kGroup;
  if (const int error = io_uring_register_buf_ring(&ring.raw(), &registration, 0); error < 0)
    return fail("register a buffer ring with io_uring", "", -error);
  io_uring_buf_ring_init(buffers.get());
  return LandingBuffers(std::move(buffers), pool);
}

void LandingBuffers::refill() {
  int added = 0;
  const std::size_t limit =
      std::clamp(kHotBytes / std::max<std::size_t>(recent_len_, 1), kFewBuffers, kLandingBuffers);
  while (pool_->has_landing() && lent_ + static_cast<std::size_t>(added) < limit) {
    const FrameAddr start = pool_->take_landing();
    const auto id =
        static_cast<unsigned short>(pool_->arena().landing_index(pool_->worker(), start));
    io_uring_buf_ring_add(ring_.get(), pool_->arena().at(start), kLandingBytes, id,
                          io_uring_buf_ring_mask(kLandingBuffers), added++);
  }
  io_uring_buf_ring_advance(ring_.get(), added);
  lent_ += static_cast<std::size_t>(added);
}

void LandingBuffers::received(std::size_t len) {
  recent_len_ = std::max(len, recent_len_ - (recent_len_ >> kFadeShift));
}

}  // namespace vethd

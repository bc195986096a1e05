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
  LandingBuffers landing(pool);
  for (const Reader reader : {Reader::quiet, Reader::busy}) {
    auto registered = register_ring(ring, reader);
    if (!registered) return pass(std::move(registered));
    landing.group(reader).ring = std::move(*registered);
  }
  return landing;
}

Result<LandingBuffers::RingPtr> LandingBuffers::register_ring(Ring& ring, Reader reader) {
  void* const memory =
      ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail("map a buffer ring");
  RingPtr buffers(static_cast<io_uring_buf_ring*>(memory));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = kLandingBuffers;
  registration.bgid = static_cast<std::uint16_t>(reader);
  if (const int error = io_uring_register_buf_ring(&ring.raw(), &registration, 0); error < 0)
    return fail("register a buffer ring with io_uring", "", -error);
  io_uring_buf_ring_init(buffers.get());
  return buffers;
}

void LandingBuffers::refill(bool any_busy) {
  lend(group(Reader::quiet), any_busy ? kLandingBuffers - kBusyBuffers : kLandingBuffers);
  if (any_busy) lend(group(Reader::busy), kBusyBuffers);
}

void LandingBuffers::lend(Group& group, std::size_t limit) {
  int added = 0;
  const std::size_t hot = kHotBytes / std::max<std::size_t>(group.recent_len, 1);
  limit = std::min(limit, std::max(hot, kFewBuffers));
  while (pool_->has_landing() && group.lent + static_cast<std::size_t>(added) < limit) {
    const FrameAddr start = pool_->take_landing();
    const auto id =
        static_cast<unsigned short>(pool_->arena().landing_index(pool_->worker(), start));
    io_uring_buf_ring_add(group.ring.get(), pool_->arena().at(start), kLandingBytes, id,
                          io_uring_buf_ring_mask(kLandingBuffers), added++);
  }
  io_uring_buf_ring_advance(group.ring.get(), added);
  group.lent += static_cast<std::size_t>(added);
  group.offered = group.lent;
}

void LandingBuffers::received(Reader reader, std::size_t len) {
  std::size_t& recent = group(reader).recent_len;
  recent = std::max(len, recent - (recent >> kFadeShift));
}

}  // namespace vethd

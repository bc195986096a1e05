#include "drivers/tap/tap_io.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <string>

#include "daemon/ring/opcodes.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd {
namespace {

constexpr unsigned short kBufferGroup = 0;
static_assert(std::has_single_bit(kLandingBuffers), "a buffer ring has a power of two of entries");
constexpr std::size_t kBufferRingBytes = kLandingBuffers * sizeof(io_uring_buf);

// The kernel takes lent buffers in turn, so all of them are the working set. Super-frames leave the
// cache (1 MiB of L2 and more on servers) unless few are lent: one TCP stream ran at 0.95 of a
// plain forwarder's rate with 64 lent and 1.11 with 8. Small frames touch little of a buffer and
// need many.
constexpr std::size_t kHotBytes = 512UL << 10;
constexpr std::size_t kFewBuffers = 8;
constexpr int kFadeShift = 6;  // the longest recent frame is forgotten by 1/64 a read

}  // namespace

/// One queue of one TAP.
class TapIo::Queue final : public Endpoint {
 public:
  Queue(TapIo& io, const EndpointSetup& setup, std::uint16_t file_slot, std::uint32_t serial)
      : Endpoint(setup.path, setup.queue), slot(file_slot), generation(serial), io_(io) {}

  void transmit(FrameList& frames) override {
    while (Frame* frame = frames.pop()) io_.write(*this, *frame);
  }

  std::uint16_t slot;
  bool reading = false;         // to be kept armed
  bool failed = false;          // cannot be read any more
  std::uint32_t in_flight = 0;  // reads; a multishot counts as one
  std::uint32_t generation;     // completions of a former queue in this slot do not match

 private:
  TapIo& io_;
};

void TapIo::FreeBufferRing::operator()(io_uring_buf_ring* ring) const {
  ::munmap(ring, kBufferRingBytes);
}

Result<std::unique_ptr<TapIo>> TapIo::create(const RingSupport& support, FramePool& pool) {
  auto ring = Ring::create(support);
  if (!ring) return pass(std::move(ring));

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto slots = static_cast<unsigned>(std::min<rlim_t>(files.rlim_cur, kMaxEndpoints));
  if (const int error = io_uring_register_files_sparse(&ring->raw(), slots); error < 0)
    return fail("register a file table with io_uring", "", -error);

  void* const memory =
      ::mmap(nullptr, kBufferRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail("map a buffer ring");
  std::unique_ptr<io_uring_buf_ring, FreeBufferRing> buffers(
      static_cast<io_uring_buf_ring*>(memory));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = kLandingBuffers;
  registration.bgid = kBufferGroup;
  if (const int error = io_uring_register_buf_ring(&ring->raw(), &registration, 0); error < 0)
    return fail("register a buffer ring with io_uring", "", -error);
  io_uring_buf_ring_init(buffers.get());

  Fd event(::eventfd(0, EFD_CLOEXEC));  // blocking: a non-blocking one is not waited for on 6.1
  if (!event.is_open()) return fail("create an eventfd");

  auto io = std::unique_ptr<TapIo>(
      new TapIo(std::move(*ring), support, pool, std::move(event), std::move(buffers)));
  for (unsigned slot = slots; slot-- > 0;)
    io->free_slots_.push_back(static_cast<std::uint16_t>(slot));
  return io;
}

TapIo::TapIo(Ring ring, const RingSupport& support, FramePool& pool, Fd event,
             std::unique_ptr<io_uring_buf_ring, FreeBufferRing> buffers)
    : ring_(std::move(ring)),
      pool_(pool),
      buffers_(std::move(buffers)),
      multishot_(support.multishot_read),
      msg_ring_(support.msg_ring),
      event_(std::move(event)) {}

TapIo::~TapIo() = default;

Result<void> TapIo::start() {
  if (auto enabled = ring_.enable(); !enabled) return enabled;
  arm_wake();
  refill();
  return {};
}

bool TapIo::wait(bool block) {
  const bool something = ring_.run(block, [this](const io_uring_cqe& cqe) { complete(cqe); }) > 0;
  // What could not be submitted yet keeps its pieces.
  if (io_uring_sq_ready(&ring_.raw()) == 0) pieces_used_ = 0;
  return something;
}

void TapIo::complete(const io_uring_cqe& cqe) {
  const Completion completion = Completion::of(cqe);
  switch (completion.op) {
    case Op::read: {
      Queue* const queue = queues_[completion.slot].get();
      invariant(queue != nullptr && queue->generation == completion.value,
                "a queue outlives its reads");
      complete_read(*queue, cqe);
      return;
    }
    case Op::write:
      complete_write(completion, cqe);
      return;
    case Op::event:
      arm_wake();
      [[fallthrough]];
    case Op::wake:
      woken_ = true;
      return;
    case Op::woke:
      if (cqe.res < 0) wake_by_event({completion.value});
      return;
    case Op::cancel: {
      // Not found: the next link of a chain was between two reads. It has started by now.
      const auto* const queue = queues_[completion.slot].get();
      if (cqe.res == -ENOENT && queue != nullptr && queue->generation == completion.value &&
          !queue->reading && queue->in_flight != 0)
        cancel(*queue);
      return;
    }
  }
}

void TapIo::complete_read(Queue& queue, const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    --lent_;
    const FrameAddr start =
        pool_.arena().landing(pool_.worker(), cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    if (cqe.res >= static_cast<int>(kVnetBytes)) {
      const auto len = static_cast<std::uint32_t>(cqe.res) - static_cast<std::uint32_t>(kVnetBytes);
      Frame& frame = pool_.wrap_landing({start.value + kVnetBytes}, len);
      frame.path = queue.path();
      frame.meta.queue_mapping = queue.queue().value;
      decode_vnet(pool_.arena().at(start), frame.meta);
      recent_len_ = std::max<std::size_t>(len, recent_len_ - (recent_len_ >> kFadeShift));
      if (!queue.has_arrivals()) ready_.push_back(&queue);
      queue.arrived().push(frame);
    } else {
      pool_.return_landing(start);
    }
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
  --queue.in_flight;
  if (!queue.reading) {
    if (queue.in_flight != 0) cancel(queue);  // the next link of the chain has just started
    return;
  }
  switch (-std::min(cqe.res, 0)) {
    case 0:
    case EAGAIN:
    case EINTR:
    case ECANCELED:
      break;
    case ENOBUFS:
      if (queue.in_flight == 0) paused_.push_back(queue.path());
      break;
    default:
      // Once: the rest of the chain fails alike.
      queue.reading = false;
      queue.failed = true;
      failures_.push_back({.path = queue.path(), .queue = queue.queue(), .error = -cqe.res});
      return;
  }
  if (queue.in_flight == 0) rearm_.push_back(&queue);
}

void TapIo::complete_write(const Completion& completion, const io_uring_cqe& cqe) {
  Frame& frame = pool_.arena().frame({completion.value});
  frame.write_error = -std::min(cqe.res, 0);
  pending_.remove(frame);
  written_.push(frame);
}

void TapIo::write(const Queue& queue, Frame& frame) {
  std::byte* const start = pool_.arena().bytes_of(frame) - kVnetBytes;
  encode_vnet(frame.meta, start);
  io_uring_sqe& sqe = ring_.next_sqe();
  if (frame.frags == 0)
    io_uring_prep_write(&sqe, queue.slot, start, frame.len + static_cast<unsigned>(kVnetBytes), 0);
  else
    io_uring_prep_writev(&sqe, queue.slot, gather(frame, start), frame.frags + 1U, 0);
  sqe.flags |= IOSQE_FIXED_FILE;
  sqe.user_data =
      Completion{.op = Op::write, .value = pool_.arena().id_of(frame).value}.user_data();
  pending_.push(frame);
}

const iovec* TapIo::gather(const Frame& frame, std::byte* start) {
  if (pieces_used_ == pieces_.size()) pieces_.emplace_back();
  Pieces& pieces = pieces_[pieces_used_++];
  std::size_t count = 0;
  pieces[count++] = {start, frame.linear_bytes() + kVnetBytes};
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
    pieces[count++] = {pool_.arena().bytes_of(*piece), piece->len};
  return pieces.data();
}

void TapIo::arm(Queue& queue) {
  const unsigned reads = multishot_ ? 1 : kChainReads;
  for (unsigned i = 0; i < reads; ++i) {
    io_uring_sqe& sqe = ring_.next_sqe();
    if (multishot_) {
      prepare_read_multishot(sqe, queue.slot, kBufferGroup);
    } else {
      io_uring_prep_read(&sqe, queue.slot, nullptr, kLandingBytes, 0);
      sqe.buf_group = kBufferGroup;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      if (i + 1 < reads) sqe.flags |= IOSQE_IO_HARDLINK;
    }
    sqe.flags |= IOSQE_FIXED_FILE;
    sqe.user_data =
        Completion{.op = Op::read, .slot = queue.slot, .value = queue.generation}.user_data();
  }
  queue.in_flight = reads;
}

void TapIo::arm_wake() {
  io_uring_sqe& sqe = ring_.next_sqe();
  io_uring_prep_read(&sqe, event_.get(), &event_count_, sizeof event_count_, 0);
  sqe.user_data = Completion{.op = Op::event}.user_data();
}

void TapIo::cancel(const Queue& queue) {
  io_uring_sqe& sqe = ring_.next_sqe();
  io_uring_prep_cancel64(
      &sqe, Completion{.op = Op::read, .slot = queue.slot, .value = queue.generation}.user_data(),
      0);
  sqe.user_data =
      Completion{.op = Op::cancel, .slot = queue.slot, .value = queue.generation}.user_data();
}

void TapIo::refill() {
  int added = 0;
  const std::size_t limit =
      std::clamp(kHotBytes / std::max<std::size_t>(recent_len_, 1), kFewBuffers, kLandingBuffers);
  while (pool_.has_landing() && lent_ + static_cast<std::size_t>(added) < limit) {
    const FrameAddr start = pool_.take_landing();
    const auto id = static_cast<unsigned short>(pool_.arena().landing_index(pool_.worker(), start));
    io_uring_buf_ring_add(buffers_.get(), pool_.arena().at(start), kLandingBytes, id,
                          io_uring_buf_ring_mask(kLandingBuffers), added++);
  }
  io_uring_buf_ring_advance(buffers_.get(), added);
  lent_ += static_cast<std::size_t>(added);
  if (lent_ == 0) return;
  for (Queue* queue : rearm_)
    if (queue->reading && queue->in_flight == 0) arm(*queue);
  rearm_.clear();
}

Result<Endpoint*> TapIo::attach(const EndpointSetup& setup) {
  if (free_slots_.empty())
    return fail("attach an endpoint",
                "RLIMIT_NOFILE bounds the endpoints of a worker; raise ulimit -n", EMFILE);
  const std::uint16_t slot = free_slots_.back();
  if (const int result = io_uring_register_files_update(&ring_.raw(), slot, &setup.fd, 1);
      result < 0)
    return fail("register an endpoint with io_uring", "", -result);
  free_slots_.pop_back();
  if (queues_.size() <= slot) queues_.resize(slot + 1U);
  queues_[slot] = std::make_unique<Queue>(*this, setup, slot, ++next_generation_);
  Queue& queue = *queues_[slot];
  if (setup.reads) {
    queue.reading = true;
    arm(queue);
  }
  return &queue;
}

void TapIo::stop_reading(Endpoint& endpoint) {
  auto& queue = static_cast<Queue&>(endpoint);
  queue.reading = false;
  if (queue.in_flight != 0) cancel(queue);
}

void TapIo::resume_reading(Endpoint& endpoint) {
  auto& queue = static_cast<Queue&>(endpoint);
  if (queue.failed) return;
  queue.reading = true;
  // Where the cancellation has not come through yet, its end arms the queue again.
  if (queue.in_flight == 0) rearm_.push_back(&queue);
}

bool TapIo::is_quiet(const Endpoint& endpoint) const {
  const auto& queue = static_cast<const Queue&>(endpoint);
  return queue.in_flight == 0 && !queue.has_arrivals();
}

void TapIo::detach(Endpoint& endpoint) {
  auto& queue = static_cast<Queue&>(endpoint);
  invariant(!queue.reading && is_quiet(queue), "an endpoint is quiet before it goes");
  const int none = -1;
  io_uring_register_files_update(&ring_.raw(), queue.slot, &none, 1);
  std::erase(rearm_, &queue);
  const std::uint16_t slot = queue.slot;
  queues_[slot].reset();
  free_slots_.push_back(slot);
}

void TapIo::wake(CpuId worker) {
  if (!msg_ring_) return wake_by_event(worker);
  const TapIo& peer = *peers_[worker.value];
  io_uring_sqe& sqe = ring_.next_sqe();
  io_uring_prep_msg_ring(&sqe, peer.ring_.fd(), 0, Completion{.op = Op::wake}.user_data(), 0);
  sqe.user_data = Completion{.op = Op::woke, .value = worker.value}.user_data();
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void TapIo::wake_by_event(CpuId worker) {
  const std::uint64_t one = 1;
  // Fails only when 2^64 wake-ups are unread.
  static_cast<void>(!::write(peers_[worker.value]->wake_fd(), &one, sizeof one));
}

}  // namespace vethd

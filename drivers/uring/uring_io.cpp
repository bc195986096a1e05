#include "drivers/uring/uring_io.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "drivers/tap/tap_queue.hpp"

namespace vethd {
namespace {

// Nothing wakes a worker when an AF_XDP socket has sent a frame, or could take a kick again: while
// it has some it sleeps 1 ms, then twice as long each time it finds nothing, up to a second.
constexpr std::chrono::nanoseconds kShortestPause = std::chrono::milliseconds(1);
constexpr std::chrono::nanoseconds kLongestPause = std::chrono::seconds(1);

__kernel_timespec timespec_of(std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return {.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
}

}  // namespace

Result<std::unique_ptr<UringIo>> UringIo::create(const RingSupport& support, FramePool& pool) {
  auto ring = Ring::create(support);
  if (!ring) return pass(std::move(ring));

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto slots = static_cast<unsigned>(std::min<rlim_t>(files.rlim_cur, kMaxEndpoints));
  if (const int error = io_uring_register_files_sparse(&ring->raw(), slots); error < 0)
    return fail("register a file table with io_uring", "", -error);

  auto landing = LandingBuffers::create(*ring, pool);
  if (!landing) return pass(std::move(landing));

  Fd event(::eventfd(0, EFD_CLOEXEC));  // blocking: a non-blocking one is not waited for on 6.1
  if (!event.is_open()) return fail("create an eventfd");

  auto io = std::unique_ptr<UringIo>(new UringIo({.ring = std::move(*ring),
                                                  .pool = pool,
                                                  .landing = std::move(*landing),
                                                  .multishot = support.multishot_read,
                                                  .pieces = {},
                                                  .ready = {},
                                                  .starved = {},
                                                  .paused = {},
                                                  .failures = {}},
                                                 support.msg_ring, std::move(event)));
  for (unsigned slot = slots; slot-- > 0;)
    io->free_slots_.push_back(static_cast<std::uint16_t>(slot));
  return io;
}

UringIo::UringIo(UringShared shared, bool msg_ring, Fd event)
    : shared_(std::move(shared)), msg_ring_(msg_ring), event_(std::move(event)) {}

UringIo::~UringIo() = default;

Result<void> UringIo::start() {
  if (auto enabled = shared_.ring.enable(); !enabled) return enabled;
  arm_wake();
  refill();
  return {};
}

bool UringIo::wait(bool block) {
  if (block && has_received()) block = false;
  if (block) arm_pause();
  bool something = shared_.ring.run(block, [this](const io_uring_cqe& cqe) { complete(cqe); }) > 0;
  for (XskQueue* socket : sockets_) something = socket->collect() || something;
  // What could not be submitted yet keeps its pieces.
  if (io_uring_sq_ready(&shared_.ring.raw()) == 0) shared_.pieces.clear();
  return something;
}

void UringIo::complete(const io_uring_cqe& cqe) {
  const Completion completion = Completion::of(cqe);
  switch (completion.op) {
    case Op::read:
    case Op::kick:
    case Op::call:
    case Op::cancel: {
      UringQueue* const queue = queues_[completion.slot].get();
      const bool known = queue != nullptr && queue->generation == completion.value;
      invariant(known || completion.op != Op::read, "a queue outlives its reads");
      if (known) queue->complete(completion, cqe);
      return;
    }
    case Op::pause:
      pausing_ = false;
      for (XskQueue* socket : sockets_) socket->kick_again();
      return;
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
  }
}

void UringIo::complete_write(const Completion& completion, const io_uring_cqe& cqe) {
  Frame& frame = shared_.pool.arena().frame({completion.value});
  frame.write_error = -std::min(cqe.res, 0);
  shared_.pending.remove(frame);
  shared_.written.push(frame);
}

void UringIo::for_each_pending(const std::function<void(const Frame&)>& visit) const {
  shared_.pending.for_each(visit);
  for (const XskQueue* socket : sockets_) socket->sent().for_each(visit);
}

bool UringIo::has_received() const {
  return std::ranges::any_of(sockets_,
                             [](const XskQueue* socket) { return socket->has_received(); });
}

void UringIo::arm_pause() {
  const bool unfinished = std::ranges::any_of(
      sockets_, [](const XskQueue* socket) { return socket->has_unfinished(); });
  if (!unfinished) next_pause_ = kShortestPause;
  if (!unfinished || pausing_) return;
  pause_ = timespec_of(next_pause_);
  next_pause_ = std::min(2 * next_pause_, kLongestPause);
  pausing_ = true;
  io_uring_sqe& sqe = shared_.ring.next_sqe();
  io_uring_prep_timeout(&sqe, &pause_, 0, 0);
  sqe.user_data = Completion{.op = Op::pause}.user_data();
}

void UringIo::arm_wake() {
  io_uring_sqe& sqe = shared_.ring.next_sqe();
  io_uring_prep_read(&sqe, event_.get(), &event_count_, sizeof event_count_, 0);
  sqe.user_data = Completion{.op = Op::event}.user_data();
}

void UringIo::refill() {
  ++shared_.turns;
  const bool had_busy = shared_.busy_readers != 0;
  shared_.landing.refill(had_busy);
  resume_starved();
  if (!had_busy && shared_.busy_readers != 0) {  // who has just become busy has no buffers yet
    shared_.landing.refill(true);
    resume_starved();
  }
  for (XskQueue* socket : sockets_) socket->fill();
}

void UringIo::resume_starved() {
  if (shared_.starved.empty()) return;
  std::ranges::sort(shared_.starved, {}, &UringQueue::last_turn);
  std::erase_if(shared_.starved, [](UringQueue* queue) { return queue->resume(); });
}

Result<Endpoint*> UringIo::attach(const EndpointSetup& setup) {
  if (free_slots_.empty())
    return fail("attach an endpoint",
                "RLIMIT_NOFILE bounds the endpoints of a worker; raise ulimit -n", EMFILE);
  const std::uint16_t slot = free_slots_.back();
  const int fd = setup.xsk != nullptr ? setup.xsk->fd() : setup.fd;
  if (const int result = io_uring_register_files_update(&shared_.ring.raw(), slot, &fd, 1);
      result < 0)
    return fail("register an endpoint with io_uring", "", -result);
  free_slots_.pop_back();
  if (queues_.size() <= slot) queues_.resize(slot + 1U);
  if (setup.xsk != nullptr) {
    auto socket = std::make_unique<XskQueue>(shared_, setup, slot, ++next_generation_);
    sockets_.push_back(socket.get());
    queues_[slot] = std::move(socket);
  } else {
    queues_[slot] = std::make_unique<TapQueue>(shared_, setup, slot, ++next_generation_);
  }
  if (setup.reads) queues_[slot]->start_reading();
  return queues_[slot].get();
}

void UringIo::stop_reading(Endpoint& endpoint) {
  static_cast<UringQueue&>(endpoint).stop_reading();
}

void UringIo::resume_reading(Endpoint& endpoint) {
  static_cast<UringQueue&>(endpoint).start_reading();
}

bool UringIo::is_quiet(const Endpoint& endpoint) const {
  return static_cast<const UringQueue&>(endpoint).is_quiet();
}

void UringIo::abandon(Endpoint& endpoint) {
  auto& queue = static_cast<UringQueue&>(endpoint);
  invariant(queue.is_quiet(), "an endpoint is quiet before it goes");
  queue.abandon();
}

void UringIo::detach(Endpoint& endpoint) {
  auto& queue = static_cast<UringQueue&>(endpoint);
  queue.reclaim();
  const int none = -1;
  io_uring_register_files_update(&shared_.ring.raw(), queue.slot, &none, 1);
  std::erase(shared_.starved, &queue);
  std::erase(sockets_, &queue);
  const std::uint16_t slot = queue.slot;
  queues_[slot].reset();
  free_slots_.push_back(slot);
}

void UringIo::wake(CpuId worker) {
  if (!msg_ring_) return wake_by_event(worker);
  const UringIo& peer = *peers_[worker.value];
  io_uring_sqe& sqe = shared_.ring.next_sqe();
  io_uring_prep_msg_ring(&sqe, peer.shared_.ring.fd(), 0, Completion{.op = Op::wake}.user_data(),
                         0);
  sqe.user_data = Completion{.op = Op::woke, .value = worker.value}.user_data();
  sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void UringIo::wake_by_event(CpuId worker) {
  const std::uint64_t one = 1;
  // Fails only when 2^64 wake-ups are unread.
  static_cast<void>(!::write(peers_[worker.value]->wake_fd(), &one, sizeof one));
}

}  // namespace vethd

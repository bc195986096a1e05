#include "drivers/memory/memory_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "daemon/core/panic.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd {
namespace {

// Every errno the ledger has a row for, and one it has none for.
constexpr int kWriteErrors[] = {EIO,    EINVAL, ENOBUFS,  ENOMEM, EBADFD,
                                EAGAIN, ENOSPC, EMSGSIZE, EPERM};

}  // namespace

void MemoryIo::Queue::transmit(FrameList& frames) {
  while (Frame* frame = frames.pop()) {
    encode_vnet(frame->meta, io_.pool_.arena().bytes_of(*frame) - kVnetBytes);
    io_.pending_.push(*frame);
    unwritten.push_back(frame);
  }
}

MemoryIo::MemoryIo(FramePool& pool, std::vector<std::unique_ptr<MemoryDevice>>& devices,
                   const MemoryTroubles& troubles)
    : pool_(pool), devices_(devices), troubles_(troubles), random_(troubles.seed) {
  refill();
}

MemoryIo::~MemoryIo() {
  for (const auto& queue : queues_)
    if (queue->reading) queue->device.on_event(nullptr);
}

void MemoryIo::wake_up() {
  const std::scoped_lock lock(mutex_);
  wake_sent_ = true;
  something_.notify_one();
}

void MemoryIo::notify() {
  const std::scoped_lock lock(mutex_);
  event_ = true;
  something_.notify_one();
}

bool MemoryIo::has_events() const {
  {
    const std::scoped_lock lock(mutex_);
    if (wake_sent_) return true;
  }
  if (woken_ || !written_.empty() || !unseen_.empty()) return true;
  return std::ranges::any_of(queues_, [this](const auto& queue) {
    // Without a buffer there is one thing left to happen: that it pauses.
    return (queue->reading && queue->device.is_readable() && !(lent_.empty() && queue->paused)) ||
           (!queue->unwritten.empty() && !queue->device.is_stalled());
  });
}

void MemoryIo::be_kind() {
  troubles_.completion_percent = 100;
  troubles_.write_error_percent = 0;
}

bool MemoryIo::wait(bool block) {
  for (const auto& queue : queues_) {
    write(*queue);
    read(*queue);
  }
  complete();
  std::unique_lock lock(mutex_);
  const bool nothing =
      ready_.empty() && written_.empty() && unseen_.empty() && failures_.empty() && paused_.empty();
  if (block && nothing) something_.wait(lock, [this] { return wake_sent_ || event_; });
  event_ = false;
  woken_ = std::exchange(wake_sent_, false) || woken_;
  return !nothing || woken_;
}

void MemoryIo::read(Queue& queue) {
  for (std::size_t i = 0; queue.reading && i < troubles_.reads_per_wait; ++i) {
    if (lent_.empty()) {
      if (!queue.paused && queue.device.is_readable()) {
        queue.paused = true;
        paused_.push_back(queue.path());
      }
      return;
    }
    Packet packet;
    int error = 0;
    switch (queue.device.read(packet, error)) {
      case MemoryDevice::Read::empty:
        return;
      case MemoryDevice::Read::failed:
        queue.reading = false;
        queue.failed = true;
        failures_.push_back({.path = queue.path(), .queue = queue.queue(), .error = error});
        return;
      case MemoryDevice::Read::packet:
        break;
    }
    invariant(packet.size() >= kVnetBytes && packet.size() <= kLandingBytes,
              "a packet fits a landing buffer");
    const FrameAddr start = lent_.back();
    lent_.pop_back();
    std::memcpy(pool_.arena().at(start), packet.data(), packet.size());
    Frame& frame = pool_.wrap_landing({start.value + kVnetBytes},
                                      static_cast<std::uint32_t>(packet.size() - kVnetBytes));
    frame.path = queue.path();
    frame.meta.queue_mapping = queue.queue().value;
    decode_vnet(pool_.arena().at(start), frame.meta);
    if (!queue.has_arrivals()) ready_.push_back(&queue);
    queue.arrived().push(frame);
  }
}

std::span<const std::byte> MemoryIo::gather(const Frame& frame) {
  const Arena& arena = pool_.arena();
  const std::byte* const start = arena.bytes_of(frame) - kVnetBytes;
  const std::size_t linear = frame.linear_bytes() + kVnetBytes;
  if (frame.frags == 0) return {start, linear};
  gathered_.assign(start, start + linear);
  for (const Frame* part = frame.frag_list; part != nullptr; part = part->next)
    gathered_.insert(gathered_.end(), arena.bytes_of(*part), arena.bytes_of(*part) + part->len);
  return gathered_;
}

void MemoryIo::write(Queue& queue) {
  if (queue.device.is_stalled() || queue.abandoned) return;
  for (Frame* frame : queue.unwritten) {
    frame->write_error = random_.percent(troubles_.write_error_percent)
                             ? random_.one_of(kWriteErrors)
                             : queue.device.write(gather(*frame));
    unseen_.push_back(frame);
  }
  queue.unwritten.clear();
}

void MemoryIo::complete() {
  std::erase_if(unseen_, [this](Frame* frame) {
    if (!random_.percent(troubles_.completion_percent)) return false;
    end(*frame);
    return true;
  });
}

void MemoryIo::end(Frame& frame) {
  pending_.remove(frame);
  written_.push(frame);
}

void MemoryIo::refill() {
  while (pool_.has_landing() && lent_.size() < troubles_.landing_limit)
    lent_.push_back(pool_.take_landing());
  if (lent_.empty()) return;
  for (const auto& queue : queues_) queue->paused = false;  // wait() reads before it blocks
}

bool MemoryIo::is_starved() const {
  return std::ranges::any_of(queues_, [](const auto& queue) { return queue->paused; });
}

Result<Endpoint*> MemoryIo::attach(const EndpointSetup& setup) {
  if (setup.fd < 0 || static_cast<std::size_t>(setup.fd) >= devices_.size())
    return fail("attach memory device " + std::to_string(setup.fd), "", EBADF);
  queues_.push_back(
      std::make_unique<Queue>(*this, *devices_[static_cast<std::size_t>(setup.fd)], setup));
  Queue& queue = *queues_.back();
  if (setup.reads) {
    queue.reading = true;
    queue.device.on_event([this] { notify(); });
  }
  return &queue;
}

void MemoryIo::stop_reading(Endpoint& endpoint) {
  auto& queue = static_cast<Queue&>(endpoint);
  if (std::exchange(queue.reading, false)) queue.device.on_event(nullptr);
  queue.paused = false;
}

void MemoryIo::resume_reading(Endpoint& endpoint) {
  auto& queue = static_cast<Queue&>(endpoint);
  if (queue.failed) return;
  queue.reading = true;
  queue.device.on_event([this] { notify(); });
  notify();
}

bool MemoryIo::is_quiet(const Endpoint& endpoint) const {
  const auto& queue = static_cast<const Queue&>(endpoint);
  return !queue.reading && !queue.has_arrivals();
}

void MemoryIo::detach(Endpoint& endpoint) {
  invariant(is_quiet(endpoint), "an endpoint is quiet before it goes");
  auto& queue = static_cast<Queue&>(endpoint);
  invariant(queue.abandoned, "an endpoint is abandoned before it goes");
  for (Frame* frame : queue.unwritten) {
    frame->write_error = ECANCELED;
    end(*frame);
  }
  std::erase_if(unseen_, [&](Frame* frame) {
    if (frame->path != reverse_of(queue.path())) return false;
    end(*frame);
    return true;
  });
  std::erase_if(queues_, [&](const auto& held) { return held.get() == &endpoint; });
}

}  // namespace vethd

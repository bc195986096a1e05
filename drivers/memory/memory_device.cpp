#include "drivers/memory/memory_device.hpp"

#include <utility>

namespace vethd {

bool MemoryDevice::send(Packet packet) {
  std::function<void()> notify;
  {
    const std::scoped_lock lock(mutex_);
    if (ring_.size() >= kRingPackets) return false;
    ring_.push_back(std::move(packet));
    notify = notify_;
  }
  if (notify) notify();  // outside the lock: the reader takes its own first
  return true;
}

bool MemoryDevice::wait_for_room(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return room_.wait_until(lock, deadline, [this] { return ring_.size() < kRingPackets; });
}

std::size_t MemoryDevice::queued() const {
  const std::scoped_lock lock(mutex_);
  return ring_.size();
}

void MemoryDevice::stall(bool stalled) {
  const std::scoped_lock lock(mutex_);
  stalled_ = stalled;
}

bool MemoryDevice::is_stalled() const {
  const std::scoped_lock lock(mutex_);
  return stalled_;
}

void MemoryDevice::fail_reads(int error) {
  std::function<void()> notify;
  {
    const std::scoped_lock lock(mutex_);
    read_error_ = error;
    notify = notify_;
  }
  if (notify) notify();
}

MemoryDevice::Read MemoryDevice::read(Packet& packet, int& error) {
  const std::scoped_lock lock(mutex_);
  if (read_error_ != 0) {
    error = read_error_;
    return Read::failed;
  }
  if (ring_.empty()) return Read::empty;
  packet = std::move(ring_.front());
  ring_.pop_front();
  room_.notify_one();
  return Read::packet;
}

bool MemoryDevice::is_readable() const {
  const std::scoped_lock lock(mutex_);
  return read_error_ != 0 || !ring_.empty();
}

int MemoryDevice::write(std::span<const std::byte> packet) {
  const std::scoped_lock lock(mutex_);
  return consumer_(packet);
}

void MemoryDevice::on_event(std::function<void()> notify) {
  const std::scoped_lock lock(mutex_);
  notify_ = std::move(notify);
}

}  // namespace vethd

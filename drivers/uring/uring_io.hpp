// A worker's way to the outside: all its endpoints share one io_uring.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/core/fd.hpp"
#include "drivers/af_xdp/xsk_queue.hpp"
#include "drivers/io.hpp"
#include "drivers/uring/queue.hpp"

namespace vethd {

/// Shape    at most kMaxEndpoints at a time, fewer if RLIMIT_NOFILE is lower.
/// Threads  made by main; used by the worker from start() on. wake_fd() is for everybody.
class UringIo final : public Io {
 public:
  static constexpr unsigned kMaxEndpoints = 65535;  // Completion::slot

  static Result<std::unique_ptr<UringIo>> create(const RingSupport& support, FramePool& pool);
  ~UringIo() override;

  /// How to wake other workers: their rings, by CpuId. Before start().
  void set_peers(std::vector<const UringIo*> peers) { peers_ = std::move(peers); }
  /// Writing eight bytes to it (eventfd) wakes the worker, from any thread.
  [[nodiscard]] int wake_fd() const { return event_.get(); }

  Result<void> start() override;
  bool wait(bool block) override;
  [[nodiscard]] bool has_events() const override {
    return shared_.ring.has_events() || has_received();
  }
  std::vector<Endpoint*>& ready() override { return shared_.ready; }
  FrameList& written() override { return shared_.written; }
  void for_each_pending(const std::function<void(const Frame&)>& visit) const override;
  bool take_wake() override { return std::exchange(woken_, false); }
  void refill() override;
  [[nodiscard]] bool is_starved() const override { return !shared_.starved.empty(); }
  std::vector<PathId>& paused() override { return shared_.paused; }
  std::vector<EndpointFailure>& failures() override { return shared_.failures; }
  Result<Endpoint*> attach(const EndpointSetup& setup) override;
  void stop_reading(Endpoint& endpoint) override;
  void pause_reading(Endpoint& endpoint) override { stop_reading(endpoint); }
  void resume_reading(Endpoint& endpoint) override;
  [[nodiscard]] bool is_quiet(const Endpoint& endpoint) const override;
  void abandon(Endpoint& endpoint) override;
  void detach(Endpoint& endpoint) override;
  void wake(CpuId worker) override;

 private:
  UringIo(UringShared shared, bool msg_ring, Fd event);

  void complete(const io_uring_cqe& cqe);
  void complete_write(const Completion& completion, const io_uring_cqe& cqe);
  [[nodiscard]] bool has_received() const;
  void resume_starved();
  void arm_pause();
  void arm_wake();
  void wake_by_event(CpuId worker);

  UringShared shared_;
  std::vector<std::unique_ptr<UringQueue>> queues_;  // by slot = registered file
  std::vector<std::uint16_t> free_slots_;
  std::vector<XskQueue*> sockets_;  // of queues_
  // Sleeps cut short while sockets have frames whose end nobody tells.
  std::chrono::nanoseconds next_pause_{};
  bool pausing_ = false;
  __kernel_timespec pause_{};
  bool woken_ = false;
  // Below: set up once.
  bool msg_ring_;
  Fd event_;
  std::uint64_t event_count_ = 0;  // where the kernel puts what it read from event_
  std::vector<const UringIo*> peers_;
  std::uint32_t next_generation_ = 0;
};

}  // namespace vethd

// A worker's outside in memory: for tests, the simulation and the benchmarks of single stages.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/frame/pool.hpp"
#include "drivers/io.hpp"
#include "drivers/memory/memory_device.hpp"
#include "drivers/memory/random.hpp"

namespace vethd {

/// How unkind this outside is. As it stands: not at all.
struct MemoryTroubles {
  std::uint64_t seed = 0;
  std::uint32_t completion_percent = 100;       // chance of an ended write to be seen in a wait()
  std::uint32_t write_error_percent = 0;        // chance of a write to fail
  std::size_t reads_per_wait = 64;              // packets read of one device in a wait(), at most
  std::size_t landing_limit = kLandingBuffers;  // landing buffers it takes at a time
};

/// Reads devices into landing buffers, vnet header first, and writes frames from where they lie, as
/// a TAP does. Writes reach a device in order; that they have ended may be seen later, in any
/// order.
///
/// Shape    EndpointSetup::fd is an index into `devices`, which all workers share.
/// Threads  the worker's, but for wake_up() and has_events(); deterministic when driven by one
///          thread with wait(false).
class MemoryIo final : public Io {
 public:
  MemoryIo(FramePool& pool, std::vector<std::unique_ptr<MemoryDevice>>& devices,
           const MemoryTroubles& troubles);
  ~MemoryIo() override;

  /// By CpuId. Before start().
  void set_peers(std::vector<MemoryIo*> peers) { peers_ = std::move(peers); }
  /// Word from another worker or from control.
  void wake_up();
  /// Whether wait(true) would return at once. Not while another thread is in wait().
  [[nodiscard]] bool has_events() const override;
  /// No more delays and errors.
  void be_kind();

  /// Landing buffers taken from the pool and not read into.
  [[nodiscard]] const std::vector<FrameAddr>& lent() const { return lent_; }
  /// Calls visit(const Frame&) for each frame that has been read and not received.
  template <class Visit>
  void for_each_arrived(Visit&& visit) const {
    for (const auto& queue : queues_) std::as_const(queue->arrived()).for_each(visit);
  }

  Result<void> start() override { return {}; }
  bool wait(bool block) override;
  std::vector<Endpoint*>& ready() override { return ready_; }
  FrameList& written() override { return written_; }
  void for_each_pending(const std::function<void(const Frame&)>& visit) const override {
    pending_.for_each(visit);
  }
  bool take_wake() override { return std::exchange(woken_, false); }
  void refill() override;
  [[nodiscard]] bool is_starved() const override;
  std::vector<PathId>& paused() override { return paused_; }
  std::vector<EndpointFailure>& failures() override { return failures_; }
  Result<Endpoint*> attach(const EndpointSetup& setup) override;
  void stop_reading(Endpoint& endpoint) override;
  void pause_reading(Endpoint& endpoint) override { stop_reading(endpoint); }
  void resume_reading(Endpoint& endpoint) override;
  [[nodiscard]] bool is_quiet(const Endpoint& endpoint) const override;
  void abandon(Endpoint& endpoint) override { static_cast<Queue&>(endpoint).abandoned = true; }
  void detach(Endpoint& endpoint) override;
  void wake(CpuId worker) override { peers_[worker.value]->wake_up(); }

 private:
  class Queue final : public Endpoint {
   public:
    Queue(MemoryIo& io, MemoryDevice& memory_device, const EndpointSetup& setup)
        : Endpoint(setup.path, setup.queue), device(memory_device), io_(io) {}

    void transmit(FrameList& frames) override;

    MemoryDevice& device;
    bool reading = false;
    bool failed = false;            // cannot be read any more
    bool paused = false;            // no landing buffer was free
    bool abandoned = false;         // nothing is written any more
    std::vector<Frame*> unwritten;  // of pending_, oldest first

   private:
    MemoryIo& io_;
  };

  void read(Queue& queue);
  void write(Queue& queue);
  std::span<const std::byte> gather(const Frame& frame);
  void complete();
  void end(Frame& frame);
  void notify();

  FramePool& pool_;
  std::vector<std::unique_ptr<MemoryDevice>>& devices_;
  MemoryTroubles troubles_;
  Random random_;
  std::vector<MemoryIo*> peers_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<FrameAddr> lent_;
  std::vector<Frame*> unseen_;  // of pending_: written, in no particular order
  std::vector<std::byte> gathered_;
  FrameList pending_{Holder::pending_write};
  FrameList written_{Holder::written};
  std::vector<Endpoint*> ready_;
  std::vector<PathId> paused_;
  std::vector<EndpointFailure> failures_;
  bool woken_ = false;

  // What other threads touch.
  mutable std::mutex mutex_;
  std::condition_variable something_;
  bool wake_sent_ = false;
  bool event_ = false;  // a device has become readable
};

}  // namespace vethd

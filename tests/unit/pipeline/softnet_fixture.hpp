// A machine of two CPUs seen from CPU 0, for the tests of what runs there without any worker.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd::test {

/// Stands still, and takes a step each time it is read.
class StepClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    const Instant read = now_;
    now_ += step;
    return read;
  }
  void pass(std::chrono::nanoseconds time) { now_ += time; }
  std::chrono::milliseconds step{0};

 private:
  mutable Instant now_{std::chrono::seconds(1)};
};

/// Frames for CPU 1 wait in `on_their_way_`; what the path cannot reach is written down.
class Softnet : public testing::Test, protected Outside {
 protected:
  static constexpr CpuId kHere{0};
  static constexpr CpuId kThere{1};
  static constexpr const std::byte* kNoBytes = nullptr;

  void build(const Sysctls& sysctls, const Rules& rules = kRules618, std::uint32_t hz = 250) {
    path_.rq.clear();
    machine_ = std::make_unique<Machine>(
        MachineSetup{.rules = rules, .sysctls = sysctls, .hash_key = {1, 2}, .hz = hz, .cpus = 2});
    up_.running = true;
    path_.peer = up_;
    path_.softnet = &here();
  }
  SoftnetData& here() { return *machine_->softnet_data[0]; }
  SoftnetData& there() { return *machine_->softnet_data[1]; }

  Frame& new_frame(std::uint32_t len = 60) {
    frames_.push_back(std::make_unique<Frame>());
    frames_.back()->holder = Holder::in_hand;
    frames_.back()->len = len;
    return *frames_.back();
  }
  SoftnetData::Enqueue enqueue(CpuId target = kHere) {
    return here().enqueue_to_backlog(new_frame(), kNoBytes, up_, target, nullptr, *this);
  }
  /// Enqueues; how many were accepted.
  int fill(int frames, CpuId target = kHere) {
    int accepted = 0;
    for (int i = 0; i < frames; ++i)
      if (enqueue(target) == SoftnetData::Enqueue::queued) ++accepted;
    return accepted;
  }
  /// One run of the softirq; how many frames it delivered.
  std::size_t run(SoftnetData& sd) {
    const std::size_t before = delivered_.size();
    sd.net_rx_action(sd.jiffies(clock_.now()), context_);
    return delivered_.size() - before;
  }
  void arrive_there() {
    while (Frame* frame = on_their_way_.pop()) there().enqueue_remote(*frame);
  }

  void hand_over(Frame& frame, CpuId target) override {
    EXPECT_EQ(target, kThere);
    on_their_way_.push(frame);
  }
  void send_ipi(CpuId target) override { ipis_.push_back(target); }
  void wake_queue(PathId /*path*/, QueueId queue) override { woken_.push_back(queue); }
  void release(Frame& frame) override { released_.push_back(&frame); }

  std::unique_ptr<Machine> machine_;
  Device up_;
  Path path_;
  StepClock clock_;
  std::vector<std::unique_ptr<Frame>> frames_;
  FrameList delivered_{Holder::transmit};
  FrameList on_their_way_{Holder::handover};
  std::vector<CpuId> ipis_;
  std::vector<QueueId> woken_;
  std::vector<Frame*> released_;
  RxContext context_{.clock = clock_, .outside = *this, .delivered = delivered_};
};

}  // namespace vethd::test

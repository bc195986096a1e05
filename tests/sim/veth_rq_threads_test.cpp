// The mask protocol between a sending veth and its peer's poll, with a thread on each side: a
// wake-up that is lost leaves frames in the ring for good.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kBursts = 400'000;
constexpr std::uint32_t kShortBurst = 12;  // mostly: the end of a burst is where a poll may miss it
constexpr std::uint32_t kLongBurst = 150;  // longer than two polls, shorter than the ring
constexpr std::uint32_t kLongEvery = 50;   // bursts
constexpr auto kPatience = std::chrono::seconds(60);

class StillClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{std::chrono::seconds(1)}; }
};

/// No CPU but the one that polls.
class Nowhere final : public Outside {
 public:
  void hand_over(Frame& /*frame*/, CpuId /*target*/) override {}
  void send_ipi(CpuId /*target*/) override {}
  void wake_queue(PathId /*path*/, QueueId /*queue*/) override {}
  void release(Frame& /*frame*/) override {}
};

class VethRqThreads : public testing::Test {
 protected:
  VethRqThreads()
      : arena_(std::move(*Arena::create(plan_arena(std::size_t{16} << 20, 1)))),
        rq_(path_, kRules618, QueueId{0}, arena_) {
    path_.softnet = machine_.softnet_data[0].get();
    path_.peer.running = true;
    path_.peer.has_xdp = true;  // polls, without GRO: frames come one by one
  }

  /// Puts frames in, burst after burst, and goes on only when the last of one has been delivered:
  /// no later frame makes good for a wake-up that was lost. False: it was.
  bool produce(std::vector<Frame>& frames) {
    const auto deadline = steady_clock::now() + kPatience;
    std::uint64_t sent = 0;
    for (std::uint32_t burst = 0; burst < kBursts; ++burst) {
      const std::uint32_t length = burst % kLongEvery == 0 ? kLongBurst : 1 + burst % kShortBurst;
      for (std::uint32_t i = 0; i < length; ++i) {
        Frame& frame = frames[sent % frames.size()];
        frame.holder = Holder::in_hand;
        frame.len = 60;
        frame.meta.tstamp = static_cast<std::int64_t>(sent++);
        if (!rq_.put(frame)) return false;
        if (rq_.kick()) scheduled_.store(true, std::memory_order_release);
      }
      while (delivered_.load(std::memory_order_acquire) != sent) {
        if (steady_clock::now() > deadline) return false;
        std::this_thread::yield();
      }
    }
    return true;
  }

  /// Polls whenever it is scheduled, until told to stop.
  void consume() {
    StillClock clock;
    Nowhere nowhere;
    FrameList list(Holder::transmit);
    RxContext context{.clock = clock, .outside = nowhere, .delivered = list};
    SoftnetData& sd = *path_.softnet;
    std::uint64_t delivered = 0;
    while (!stopped_.load(std::memory_order_relaxed)) {
      if (scheduled_.exchange(false, std::memory_order_acquire)) sd.napi_schedule(rq_);
      if (!sd.net_rx_pending()) {
        std::this_thread::yield();
        continue;
      }
      sd.net_rx_action(0, context);
      while (Frame* frame = list.pop())
        if (frame->meta.tstamp == static_cast<std::int64_t>(delivered)) ++delivered;
      delivered_.store(delivered, std::memory_order_release);
    }
  }

  Arena arena_;
  Machine machine_{{}};
  Path path_;
  VethRq rq_;
  std::atomic<bool> scheduled_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> delivered_{0};  // in the right order
};

TEST_F(VethRqThreads, LoseNoWakeUpAndKeepTheOrder) {
  std::vector<Frame> frames(kLongBurst);
  std::thread consumer([this] { consume(); });
  EXPECT_TRUE(produce(frames)) << delivered_ << " frames came; the rest waits and nobody polls";
  stopped_ = true;
  consumer.join();
}

}  // namespace
}  // namespace vethd

// The mask protocol between a sending veth and its peer's poll, with a thread on each side: a
// wake-up that is lost leaves frames in the ring for good.
#include <gtest/gtest.h>

#include <chrono>
#include <semaphore>
#include <thread>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {
namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t kFrames = 3'000'000;
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

  /// Puts frames in, in bursts of any length up to a little more than a poll takes.
  void produce(std::vector<Frame>& frames) {
    const auto deadline = steady_clock::now() + kPatience;
    std::uint64_t sent = 0;
    while (sent < kFrames && steady_clock::now() < deadline) {
      const std::uint64_t burst = std::min<std::uint64_t>(1 + sent % 67, kFrames - sent);
      for (std::uint64_t i = 0; i < burst; ++i) {
        Frame& frame = frames[sent % frames.size()];
        if (rq_.full()) break;  // then all older frames of its slot are done with
        frame.holder = Holder::in_hand;
        frame.meta.tstamp = static_cast<std::int64_t>(sent);
        frame.len = 60;
        if (!rq_.put(frame)) break;
        ++sent;
        if (rq_.kick()) scheduled_.release();
      }
      if (rq_.full()) std::this_thread::yield();
    }
  }

  /// Polls whenever it is scheduled; how many frames came in the right order.
  std::uint64_t consume() {
    StillClock clock;
    Nowhere nowhere;
    FrameList delivered(Holder::transmit);
    RxContext context{.clock = clock, .outside = nowhere, .delivered = delivered};
    SoftnetData& sd = *path_.softnet;
    std::uint64_t received = 0;
    while (received < kFrames) {
      if (!scheduled_.try_acquire_for(kPatience)) return received;
      sd.napi_schedule(rq_);
      while (sd.net_rx_pending()) {
        sd.net_rx_action(0, context);
        while (Frame* frame = delivered.pop())
          if (frame->meta.tstamp == static_cast<std::int64_t>(received)) ++received;
      }
    }
    return received;
  }

  Arena arena_;
  Machine machine_{{}};
  Path path_;
  VethRq rq_;
  std::counting_semaphore<> scheduled_{0};
};

TEST_F(VethRqThreads, LoseNoWakeUpAndKeepTheOrder) {
  // A slot of the ring is reused only after its frame has been consumed; with more frames than
  // slots and a batch, none is touched while the other side may still look at it.
  std::vector<Frame> frames(4 * PtrRing::kSlots);
  std::thread producer([&] { produce(frames); });
  EXPECT_EQ(consume(), kFrames) << "the rest waits in the ring, and nobody polls";
  producer.join();
}

}  // namespace
}  // namespace vethd

// Real workers, real stages, real hand-over; devices in memory, one thread, one seed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/frame/pool.hpp"
#include "daemon/worker/worker.hpp"
#include "tests/sim/packet.hpp"
#include "tests/sim/parameters.hpp"

namespace vethd::sim {

/// Something did not hold; what() says what, where and in which step.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What one run did. Equal traces: the same run.
struct Outcome {
  std::uint64_t trace = 0;
  std::uint64_t rounds = 0;
  std::uint64_t delivered = 0;  // packets, merged ones as one
  std::uint64_t snapshots = 0;
  Counters totals;  // over all paths at the end of their lives
};

/// Rows of the ledger that no run has met, though all of these can be.
std::string never_met(const Counters& totals);

/// Moves on when a step is made, and a little whenever it is read.
class SimClock final : public Clock {
 public:
  SimClock(std::uint64_t seed, std::uint32_t slow_percent)
      : random_(seed), slow_percent_(slow_percent) {}
  [[nodiscard]] Instant now() const override {
    // Now and then a poll takes longer than the softirq's time limit.
    now_ += random_.percent(slow_percent_) ? std::chrono::milliseconds(20)
                                           : std::chrono::microseconds(1);
    return now_;
  }

 private:
  mutable Random random_;
  std::uint32_t slow_percent_;
  mutable Instant now_{std::chrono::seconds(1)};
};

/// One run. After every round the ownership of every frame is checked, and the limits of every
/// queue; at every snapshot the ledger; at every receiver what arrives, and its order.
class Simulation final : private Control {
 public:
  explicit Simulation(const Parameters& parameters);

  /// Throws Failure, or aborts in an invariant of the daemon's own.
  Outcome run();

 private:
  // A pair in its life.
  enum class Life : std::uint8_t { gone, adding, live, stopping, removing, forgetting };
  struct PairState {
    Life life = Life::gone;
    bool reset_during_snapshot = false;  // its counters began anew, so the cut means nothing
    Device ends[2];
    std::vector<std::size_t> devices[2];  // indexes of its queues
  };
  struct PathState {
    std::vector<Flow> flows;
    std::uint64_t sent = 0;     // in this life
    std::uint64_t arrived = 0;  // frames as they were sent: of a super-frame made on the way, each
  };
  struct WorkerState {
    std::unique_ptr<FramePool> pool;
    std::unique_ptr<MemoryIo> io;
    std::unique_ptr<Mailbox> mailbox;
    std::deque<std::unique_ptr<Mail>> posted;  // not in the mailbox yet: workers hear of it in turn
    std::unique_ptr<Worker> worker;
    bool asleep = false;
    std::uint64_t stalled_until = 0;  // step
  };
  /// What control waits for.
  struct Operation {
    bool active = false;
    Life then = Life::live;
    std::uint32_t pair = 0;
    std::uint64_t serial = 0;
    std::uint32_t missing = 0;
  };

  // The world.
  void step();
  void run_worker(WorkerState& state);
  void deliver_mail(WorkerState& state);
  Packet draw_packet(Flow& flow, bool splittable);
  void drain();
  void send_burst();
  void stall_something();
  int receive(PairId pair, Side side, QueueId queue, std::span<const std::byte> packet);

  // Control.
  void answer(MailAnswer answer) override;
  void notice(FailureNotice notice) override;
  void look_again(LookAgain question) override { questions_.push_back(question.path); }
  void answer_question();
  void change_something();
  void suspend_order(std::uint32_t pair);
  void restore_order(std::uint32_t pair);
  void add_pair(std::uint32_t pair);
  void change_device(std::uint32_t pair);
  void stop_pair(std::uint32_t pair);
  void remove_pair(std::uint32_t pair);
  void forget_pair(std::uint32_t pair);
  void take_snapshot();
  void finish(Operation& operation);
  void check_snapshot();
  template <class What>
  void post(Operation& operation, What&& what_for_worker);

  // What must hold.
  void check(bool holds, std::string_view what) const;
  void check_frames();
  void check_queues();
  void check_tables();
  void mark(const Frame& frame);
  void check_end();

  Parameters parameters_;
  Random random_;
  SimClock clock_;
  Arena arena_;
  Exchange exchange_;
  std::vector<std::unique_ptr<MemoryDevice>> devices_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<WorkerState> workers_;
  std::vector<PairState> pairs_;
  std::vector<PathState> paths_;
  std::uint64_t step_ = 0;
  std::uint64_t serial_ = 0;
  Operation change_;
  Operation snapshot_;
  std::deque<PathId> questions_;                // not answered yet
  std::vector<WorkerSnapshot::Direction> cut_;  // by PathId, summed over the workers
  // For check_frames(): in which check each was last met.
  std::uint64_t checks_ = 0;
  std::vector<std::uint64_t> frame_met_;   // by FrameId
  std::vector<std::uint64_t> buffer_met_;  // landing buffers and chunks, by worker
  std::array<std::uint64_t, static_cast<std::size_t>(Holder::marker) + 1> listed_{};
  std::uint64_t on_their_way_ = 0;  // to a backlog of another CPU
  Outcome outcome_;
};

}  // namespace vethd::sim

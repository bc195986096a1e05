// One emulated CPU: one thread, one loop, one frame's whole journey.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/time.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/pipeline/softnet.hpp"
#include "daemon/pipeline/veth.hpp"
#include "daemon/worker/busy_poll.hpp"
#include "daemon/worker/exchange.hpp"
#include "daemon/worker/mail.hpp"
#include "daemon/worker/snapshot.hpp"
#include "drivers/io.hpp"

namespace vethd {

// Frames one source hands over before the softirq runs: NAPI_POLL_WEIGHT, what a driver's poll
// hands to the stack at most. Fewer where they take long: Turn.
constexpr std::size_t kReceiveBatch = 64;

// How long the answer to a LookAgain holds: a sender that goes on with frames that are too long is
// not asked about in each round. Netlink's event has come by then, mostly.
constexpr std::chrono::milliseconds kAnswerHolds{20};

// Frames taken from one other CPU's hand-over queue per round; the rest waits for the next.
constexpr std::size_t kHandoverBatch = 1024;

/// What a worker works with; all of it outlives the worker.
struct WorkerParts {
  CpuId cpu;
  const Clock& clock;
  FramePool& pool;
  Exchange& exchange;
  std::vector<Machine*> machines;  // by MachineId
  Io& io;
  Mailbox& mailbox;
  Control& control;
  std::chrono::nanoseconds busy_poll{};  // longest look before a sleep; 0: none
};

/// Threads  run() or round() by one thread; the rest of the daemon talks to it through its mailbox.
class Worker final : private Outside {
 public:
  explicit Worker(const WorkerParts& parts);

  /// Rounds until control says Stop. The first answer, with serial 0, says whether it has started.
  void run();

  /// One round: everything that has arrived goes as far as it can. Never blocks.
  void round();

  /// Whether another round would find something to do without waiting.
  [[nodiscard]] bool has_work();

  [[nodiscard]] bool stopped() const { return stopped_; }

  /// Calls visit(VethRq&) for each receive queue that has ever polled, for whoever must know where
  /// every frame is. Not while another thread is in round().
  template <class Visit>
  void for_each_rq(Visit&& visit) const {
    for (VethRq* rq : polling_) visit(*rq);
  }

 private:
  // Sources that are not read, and what they have keeps its order.
  enum class StoppedUntil : std::uint8_t {
    polled,  // veth_poll() has made room
    looked   // control has answered
  };
  struct StoppedQueue {
    Endpoint* source;
    StoppedUntil until;
  };

  void wait();
  bool wait_for_io(bool block);
  bool look();

  void take_mail();
  void take_handover();
  void receive();
  void net_rx_action();
  void transmit();
  void park();
  void settle();

  /// How many frames of a source go on now; 0: it is looked at once more.
  [[nodiscard]] static std::size_t batch_of(const Path& path, Endpoint& source);
  void forward_batch(Path& path, Endpoint& source);
  void ask(Path& path, Endpoint& source);
  void stop_queue(Endpoint& source, StoppedUntil until);
  static void count_ended(const Frame& frame, Counters& counters);
  void park(FrameList& queue);
  void park(Frame& frame);
  void spare_landings(FrameList& leaving, Counters& counters);
  void hand_on(Frame& frame, CpuId owner);
  void send_home(Frame& frame);
  void wake_told();
  void wake(Endpoint& source);
  void wake_asking(PathId path);
  [[nodiscard]] bool is_stopped(const Endpoint& source) const;

  // Outside: what the path cannot reach.
  void hand_over(Frame& frame, CpuId target) override;
  void send_ipi(CpuId target) override { io_.wake(target); }
  void wake_queue(PathId path, QueueId queue) override;
  void release(Frame& frame) override {
    if (frame.home == cpu_.value) [[likely]]
      pool_.release(frame);
    else
      send_home(frame);
  }

  // Between rounds: worker_mail.cpp.
  void handle(const AddPair& mail, std::uint64_t serial);
  void handle(const SetDevice& mail, std::uint64_t serial);
  void handle(const Looked& mail, std::uint64_t serial);
  void handle(const SetSysctls& mail, std::uint64_t serial);
  void handle(const StopReading& mail, std::uint64_t serial);
  void handle(const RemovePair& mail, std::uint64_t serial);
  void handle(const ForgetPair& mail, std::uint64_t serial);
  void handle(const TakeSnapshot& mail, std::uint64_t serial);
  void handle(const Stop& mail, std::uint64_t serial);
  void answer(std::uint64_t serial, Result<void> result = {});
  void make_path(PathId id, const Device& dev, const Device& peer, SoftnetData& softnet);
  void fit_queues(Path& path);
  void end_napi(Path& path, std::uint64_t Counters::* reason);
  void purge(PairId pair);
  void empty_handover_lanes();
  void drop_removed(Frame& frame);
  void finish_removals();
  [[nodiscard]] bool polls_something(PairId pair) const;
  void begin_cut();
  void end_cut();
  void take_marker(CpuId source);

  // A pair on this worker: its queues, by the side they belong to.
  struct PortQueue {
    Endpoint* endpoint = nullptr;  // nullptr: only its owner may write to it
    CpuId owner;                   // the worker that reads it
  };
  struct PortSide {
    std::vector<PortQueue> queues;
    bool shared = true;            // every worker may write
    Instant answer_holds_until{};  // of the last LookAgain about frames from here
  };
  struct Port {
    PortSide sides[2];

    template <class Visit>
    void for_each_endpoint(Visit&& visit) const {
      for (const PortSide& side : sides)
        for (const PortQueue& queue : side.queues)
          if (queue.endpoint != nullptr) visit(*queue.endpoint);
    }
  };
  [[nodiscard]] const PortSide& egress(PathId path) const;
  [[nodiscard]] const PortQueue& egress(const PortSide& side, const Frame& frame) const;
  void transmit(const PortSide& side, FrameList& frames);
  void transmit(const PortQueue& queue, FrameList& run);

  // Data path.
  CpuId cpu_;
  Io& io_;
  FramePool& pool_;
  Exchange& exchange_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Path>> paths_;  // by PathId
  std::vector<Port> ports_;                   // by PairId
  std::vector<SoftnetData*> softnets_;        // by MachineId, of this CPU
  FrameList received_{Holder::endpoint};
  FrameList delivered_{Holder::transmit};
  RxContext context_;
  std::vector<StoppedQueue> stopped_queues_;
  std::vector<Endpoint*> woken_queues_;  // to be read again, this round or the next
  std::vector<VethRq*> polling_;         // receive queues that have ever been in use
  std::vector<bool> sent_home_to_;       // by CpuId, this round
  std::vector<bool> handed_on_to_;       // by CpuId, this round
  // Of this round: whose turn ended it, what all have brought, whether there is anything to write.
  Turn* measured_turn_ = nullptr;
  std::uint32_t received_weight_ = 0;
  bool transmitted_ = false;
  BusyPoll busy_poll_;
  WorkerCounters counters_;

  // Between rounds.
  Mailbox& mailbox_;
  Control& control_;
  bool stopped_ = false;
  struct Removal {
    PairId pair;
    std::uint64_t serial;
    bool whole;  // RemovePair; else StopReading
  };
  std::vector<Removal> removals_;
  // The cut being taken: own share, and whose marker is still missing.
  struct Cut {
    std::shared_ptr<WorkerSnapshot> share;
    std::optional<std::uint64_t> serial;  // once the mail is here; a marker may come first
    std::vector<bool> marker_missing;     // by source CPU
    std::size_t missing = 0;
  };
  std::optional<Cut> cut_;
  std::vector<Frame> markers_;  // by target CPU; frames only in that a lane carries them
};

}  // namespace vethd

// Workers on threads of their own, at full speed in both directions through RPS: nothing is lost,
// stuck or out of order, and every snapshot balances. Meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <ostream>
#include <thread>
#include <vector>

#include "daemon/worker/worker.hpp"
#include "drivers/memory/memory_io.hpp"
#include "tests/sim/packet.hpp"

namespace vethd::sim {
namespace {

using std::chrono::steady_clock;

constexpr std::uint32_t kFlows = 4;               // per direction
constexpr std::uint64_t kFramesPerPath = 100000;  // each direction
constexpr std::uint64_t kRun = 5;                 // frames of a flow in a row
constexpr std::uint32_t kExchanges = 5000;
constexpr std::int32_t kNoDrop = 1 << 20;  // more frames than exist
constexpr auto kPatience = std::chrono::seconds(60);

/// Asks workers and waits for all their answers.
class Asker final : public Control {
 public:
  void answer(MailAnswer answer) override {
    const std::scoped_lock lock(mutex_);
    failed_ = failed_ || !answer.result;
    if (answer.snapshot)
      for (std::size_t path = 0; path < cut_.size(); ++path) {
        cut_[path].counters += answer.snapshot->paths[path].counters;
        cut_[path].in_flight += answer.snapshot->paths[path].in_flight;
      }
    --missing_;
    answered_.notify_one();
  }
  void notice(FailureNotice /*notice*/) override { fail(); }
  void look_again(LookAgain /*question*/) override { fail(); }  // no pair may ask

  void expect(std::size_t answers) {
    const std::scoped_lock lock(mutex_);
    missing_ = answers;
    cut_ = {};
  }
  /// False: not all, or not well, before the deadline.
  bool wait() {
    std::unique_lock lock(mutex_);
    return answered_.wait_until(lock, steady_clock::now() + kPatience, [this] {
      return missing_ == 0;
    }) && !failed_;
  }
  /// What the last snapshot's answers add up to.
  [[nodiscard]] const std::array<WorkerSnapshot::Direction, 2>& cut() const { return cut_; }

 private:
  void fail() {
    const std::scoped_lock lock(mutex_);
    failed_ = true;
  }

  std::mutex mutex_;
  std::condition_variable answered_;
  std::size_t missing_ = 0;
  bool failed_ = false;
  std::array<WorkerSnapshot::Direction, 2> cut_;
};

constexpr std::chrono::microseconds kBusyPoll{200};

struct Setting {
  std::uint32_t workers;
  bool gro;  // frames pass a receive queue and its GRO before RPS has them
  std::chrono::microseconds busy_poll{0};
};
std::ostream& operator<<(std::ostream& out, const Setting& setting) {
  return out << setting.workers << (setting.gro ? " gro" : "")
             << (setting.busy_poll.count() > 0 ? " busy" : "");
}

/// One pair, RPS over all workers at both ends, a thread for each worker and each sender.
class Threads : public testing::TestWithParam<Setting> {
 protected:
  Threads()
      : workers_(GetParam().workers),
        arena_(make_arena(workers_)),
        exchange_(workers_, arena_.plan().frames_per_worker(), /*handed_on=*/false),
        machine_(
            {.sysctls = {.netdev_max_backlog = kNoDrop}, .hash_key = {1, 2}, .cpus = workers_}) {
    for (std::uint32_t path = 0; path < 2; ++path) {
      for (std::uint32_t i = 0; i < kFlows; ++i)
        flows_[path].push_back({.path = {path}, .id = GetParam().gro ? kFirstStream + i : i});
      last_seen_[path].resize(kFirstStream + kFlows);
      // Frames that enter at this side; those that leave here come the other way.
      devices_.push_back(std::make_unique<MemoryDevice>(
          [this, path](std::span<const std::byte> packet) { return receive(path ^ 1U, packet); }));
    }
    std::vector<MemoryIo*> ios;
    for (std::uint32_t cpu = 0; cpu < workers_; ++cpu) {
      pools_.push_back(std::make_unique<FramePool>(arena_, cpu));
      ios_.push_back(std::make_unique<MemoryIo>(*pools_.back(), devices_, MemoryTroubles{}));
      mailboxes_.push_back(std::make_unique<Mailbox>(kMailboxMails));
      ios.push_back(ios_.back().get());
    }
    for (const auto& io : ios_) io->set_peers(ios);
    asker_.expect(workers_);
    for (std::uint32_t cpu = 0; cpu < workers_; ++cpu)
      threads_.emplace_back([this, cpu] {
        Worker({.cpu = {cpu},
                .clock = clock_,
                .pool = *pools_[cpu],
                .exchange = exchange_,
                .machines = {&machine_},
                .io = *ios_[cpu],
                .mailbox = *mailboxes_[cpu],
                .control = asker_,
                .busy_poll = GetParam().busy_poll})
            .run();
      });
    EXPECT_TRUE(asker_.wait()) << "every worker starts";
  }

  ~Threads() override {
    EXPECT_TRUE(ask([](std::uint32_t) { return Stop{}; }));
    for (auto& thread : threads_) thread.join();
  }

  static Arena make_arena(std::uint32_t workers) {
    auto arena = Arena::create(plan_arena(workers * (std::size_t{10} << 20), workers));
    if (!arena) throw std::runtime_error(arena.error().text());
    return std::move(*arena);
  }

  template <class What>
  bool ask(What&& what_for_worker) {
    asker_.expect(workers_);
    for (std::uint32_t cpu = 0; cpu < workers_; ++cpu) {
      auto mail = std::make_unique<Mail>();
      mail->serial = ++serial_;
      mail->what = what_for_worker(cpu);
      if (!mailboxes_[cpu]->push(std::move(mail))) return false;
      ios_[cpu]->wake_up();
    }
    return asker_.wait();
  }

  bool add_pair() {
    Device end;
    end.running = true;
    end.gro = GetParam().gro;
    end.rx_udp_gro_forwarding = GetParam().gro;
    end.tso = !GetParam().gro;
    end.rps_cpus.emplace_back();
    for (std::uint32_t cpu = 0; cpu < workers_; ++cpu) end.rps_cpus[0].push_back({cpu});
    return ask([&](std::uint32_t cpu) {
      AddPair mail{.pair = {0}, .machine = {0}, .a = end, .b = end, .endpoints = {}};
      for (std::uint32_t path = 0; path < 2; ++path)
        mail.endpoints.push_back({.fd = static_cast<int>(path),
                                  .path = {path},
                                  .queue = {0},
                                  .owner = {path % workers_},
                                  .reads = path % workers_ == cpu});
      return mail;
    });
  }

  /// Sends at full speed; waits where the device's ring is full.
  void send_all(std::uint32_t path) {
    for (std::uint64_t i = 0; i < kFramesPerPath; ++i) {
      const auto deadline = steady_clock::now() + kPatience;
      if (!devices_[path]->wait_for_room(deadline)) {
        ADD_FAILURE() << "the worker reads on";
        return;
      }
      devices_[path]->send(next_packet(path, i / kRun));
    }
  }
  /// A plain frame of one of the flows.
  Packet next_packet(std::uint32_t path, std::uint64_t number) {
    Flow& flow = flows_[path][number % kFlows];
    return flow.is_stream() ? make_segments(flow, {})
                            : make_packet(flow, {.frame_bytes = kShortestWithRecord});
  }

  int receive(std::uint32_t path, std::span<const std::byte> packet) {
    std::uint64_t frames = 0;
    const auto wrong = inspect(packet, /*plain_frames=*/false, [&](const Record& record) {
      ++frames;
      std::uint64_t& last = last_seen_[path][record.flow];
      if (record.path != path || record.sequence <= last) ++wrong_;
      last = record.sequence;
    });
    if (!wrong.empty()) ++wrong_;
    const std::scoped_lock lock(received_mutex_);
    received_[path] += std::max<std::uint64_t>(frames, 1);
    received_more_.notify_one();
    return 0;
  }

  /// False: not before the deadline.
  bool wait_for(std::uint64_t frames_per_path) {
    std::unique_lock lock(received_mutex_);
    return received_more_.wait_until(lock, steady_clock::now() + kPatience, [&] {
      return received_[0] == frames_per_path && received_[1] == frames_per_path;
    });
  }

  std::uint32_t workers_;
  SystemClock clock_;
  Arena arena_;
  Exchange exchange_;
  Machine machine_;
  std::vector<std::unique_ptr<MemoryDevice>> devices_;
  std::vector<std::unique_ptr<FramePool>> pools_;
  std::vector<std::unique_ptr<MemoryIo>> ios_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  Asker asker_;
  std::vector<std::thread> threads_;
  std::uint64_t serial_ = 0;
  std::array<std::vector<Flow>, 2> flows_;               // the sender's
  std::array<std::vector<std::uint64_t>, 2> last_seen_;  // under the receiving device's lock
  std::mutex received_mutex_;
  std::condition_variable received_more_;
  std::array<std::uint64_t, 2> received_{};
  std::atomic<std::uint64_t> wrong_{0};
};

TEST_P(Threads, KeepOrderAndBalanceEverySnapshotAtFullSpeed) {
  ASSERT_TRUE(add_pair());
  std::atomic<int> sending{2};
  std::vector<std::thread> senders;
  for (const std::uint32_t path : {0U, 1U})
    senders.emplace_back([&, path] {
      send_all(path);
      --sending;
    });
  const auto balances = [this] {
    if (!ask([](std::uint32_t) { return TakeSnapshot{}; })) return false;
    for (const auto& [counters, in_flight, rq] : asker_.cut())
      if (!balanced(counters, in_flight)) return false;
    return true;
  };
  bool all_balanced = true;
  while (sending != 0 && all_balanced) all_balanced = balances();
  for (auto& sender : senders) sender.join();
  EXPECT_TRUE(all_balanced);
  EXPECT_TRUE(wait_for(kFramesPerPath)) << "frames are lost or stuck";
  EXPECT_EQ(wrong_, 0U);
  EXPECT_TRUE(balances());
  for (const auto& [counters, in_flight, rq] : asker_.cut()) {
    EXPECT_EQ(counters.rx_frames, kFramesPerPath);
    EXPECT_EQ(counters.merged_frames > 0, GetParam().gro);
  }
}

// Every frame finds the workers asleep or just about to sleep, and only each other's wake-ups to
// rely on: one lost leaves frames behind for good.
TEST_P(Threads, LoseNoWakeUp) {
  ASSERT_TRUE(add_pair());
  std::uint64_t sent = 0;
  for (std::uint32_t i = 0; i < kExchanges; ++i) {
    const std::uint32_t frames = 1 + i % 3;
    for (std::uint32_t n = 0; n < frames; ++n)
      for (const std::uint32_t path : {0U, 1U}) devices_[path]->send(next_packet(path, i + n));
    sent += frames;
    ASSERT_TRUE(wait_for(sent)) << "exchange " << i;
  }
  EXPECT_EQ(wrong_, 0U);
}

INSTANTIATE_TEST_SUITE_P(Workers, Threads,
                         testing::Values(Setting{2, false}, Setting{3, false}, Setting{2, true},
                                         Setting{3, true}, Setting{2, false, kBusyPoll}));

}  // namespace
}  // namespace vethd::sim

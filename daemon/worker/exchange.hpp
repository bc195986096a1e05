// The ways between workers: frames that RPS sends to another CPU, and empty frames coming home.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/spsc.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

/// A single-producer, single-consumer queue in each direction between each two workers.
///
/// Shape  a frame is handed to a backlog by the worker it belongs to, and comes home to it. With
///        endpoints that only their owner may write to it can be handed on once more, by any
///        worker. A queue that holds all frames that may pass it, and one marker, is never full.
class Exchange {
 public:
  using Lane = SpscQueue<Frame*>;

  /// handed_on: whether endpoints exist that only their owner may write to.
  Exchange(std::size_t workers, std::size_t frames_per_worker, bool handed_on) : workers_(workers) {
    const std::size_t homeward = frames_per_worker;
    const std::size_t handover = (handed_on ? workers : 1) * frames_per_worker + 1;
    starved_ = std::make_unique<Starved[]>(workers);
    lanes_.reserve(workers * workers);
    for (std::size_t i = 0; i < workers * workers; ++i)
      lanes_.push_back(i / workers == i % workers ? nullptr
                                                  : std::make_unique<Pair>(handover, homeward));
  }

  [[nodiscard]] std::size_t workers() const { return workers_; }

  /// Frames on their way into target's backlog or endpoints; source pushes, target pops.
  Lane& handover(CpuId source, CpuId target) { return at(source, target).handover; }
  /// Empty frames that source has done with, going home to target.
  Lane& homeward(CpuId source, CpuId target) { return at(source, target).homeward; }

  /// Set by a worker that cannot read for lack of buffers before it sleeps; whoever sends frames
  /// home clears it afterwards and, if it was set, wakes the worker. Both sides exchange, so either
  /// the sleeper sees the frames or the sender sees the flag.
  std::atomic<bool>& starved(CpuId worker) { return starved_[worker.value].flag; }

 private:
  struct alignas(64) Starved {
    std::atomic<bool> flag{false};
  };
  struct Pair {
    Pair(std::size_t to_hand_over, std::size_t to_come_home)
        : handover(to_hand_over), homeward(to_come_home) {}
    Lane handover;
    Lane homeward;
  };
  Pair& at(CpuId source, CpuId target) { return *lanes_[source.value * workers_ + target.value]; }

  std::size_t workers_;
  std::vector<std::unique_ptr<Pair>> lanes_;
  std::unique_ptr<Starved[]> starved_;
};

}  // namespace vethd

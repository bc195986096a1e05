// Whether a worker that has nothing to do looks on for a while before it sleeps.
#pragma once

#include <chrono>
#include <cstdint>

#include "daemon/core/time.hpp"

namespace vethd {

/// A sleep costs a wake-up, which is most of a small frame's latency; looking costs a CPU. It pays
/// where the last sleeps were short and nobody else wants the CPU, and is given up where not.
///
/// Shape    as kvm's halt polling: virt/kvm/kvm_main.c, kvm_vcpu_halt(); but for one limit.
/// Threads  the worker's.
/// Never    reads a clock.
class BusyPoll {
 public:
  using Duration = std::chrono::nanoseconds;

  // Looks in vain before it is left off: the gaps of a flow scatter.
  static constexpr int kMisses = 3;
  // Between two looks, a yield apart, nothing happens unless another thread had its turn, or the
  // host another guest.
  static constexpr Duration kOthersTurn = std::chrono::microseconds(10);
  // How long others are then left alone.
  static constexpr Duration kLeaveAlone = std::chrono::milliseconds(20);

  /// limit: the longest look; 0: none.
  explicit BusyPoll(Duration limit) : limit_(limit) {}

  [[nodiscard]] bool is_on() const { return limit_ > Duration::zero(); }
  [[nodiscard]] bool pays(Instant now) const { return misses_left_ > 0 && now >= quiet_until_; }

  enum class Look : std::uint8_t { on, missed, disturbed };
  /// Another look found nothing. began: the first; last: the one before.
  Look found_nothing(Instant began, Instant last, Instant now) {
    if (now - last > kOthersTurn) {
      quiet_until_ = now + kLeaveAlone;
      return Look::disturbed;
    }
    if (now - began < limit_) return Look::on;
    --misses_left_;
    return Look::missed;
  }
  void found_something() { misses_left_ = kMisses; }
  /// Frames have ended a sleep.
  void slept(Duration duration) {
    if (duration <= limit_) misses_left_ = kMisses;
  }

 private:
  Duration limit_;
  int misses_left_ = 0;
  Instant quiet_until_{};
};

}  // namespace vethd

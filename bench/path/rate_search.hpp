// The highest rate a path carries almost without loss, found as RFC 2544 does, and then doubted.
//
// Never  reads a clock or a socket: trials are the caller's, so the search is tested with made-up
//        paths.
#pragma once

#include <optional>
#include <vector>

#include "daemon/core/result.hpp"

namespace vethd::bench {

constexpr double kLossAllowed = 0.001;  // share of the frames sent
constexpr double kOfferedAtLeast =
    0.98;                            // of the rate asked for, or the trial says nothing about it
constexpr double kPrecision = 0.02;  // halving stops when the interval is this share of its top
constexpr int kMaxHalvings = 12;     // 2^-12 of the top is far below kPrecision
constexpr double kStepDown = 0.97;   // next rate to confirm after one that did not hold
constexpr int kMaxStepsDown = 40;    // 0.97^40: down to 0.3 of the rate first found
constexpr int kPassesToProbe = 1;    // while halving
constexpr int kPassesToConfirm = 3;  // of the answer: never one lucky run
constexpr int kFailuresAllowed = 1;  // per rate: nor is it refused for one unlucky run

/// What one trial saw.
struct Sample {
  std::optional<double> offered_fps;  // empty: as fast as the sender could
  double sent_fps = 0;                // what the sender achieved
  double lost_share = 0;              // of the frames sent

  [[nodiscard]] bool passes() const {
    const bool offered = !offered_fps || sent_fps >= kOfferedAtLeast * *offered_fps;
    return offered && lost_share <= kLossAllowed;
  }
};

struct RateFound {
  double fps = 0;               // lowest rate achieved in the confirming trials
  bool sender_limited = false;  // the path kept up with the sender: it may carry more
  std::vector<Sample> trials;   // in the order they ran
};

/// Offers rates through trial(std::optional<double>) -> Result<Sample> until one is confirmed.
/// Errors  a trial's own, or that no rate held.
template <class Trial>
class RateSearch {
 public:
  explicit RateSearch(Trial trial) : trial_(std::move(trial)) {}

  Result<RateFound> run() {
    Result<bool> held = holds(std::nullopt, kPassesToConfirm);
    if (!held) return pass(std::move(held));
    if (*held) return found(true);

    double good = 0;
    double bad = found_.trials.front().sent_fps;
    for (int i = 0; i < kMaxHalvings && bad - good > kPrecision * bad; ++i) {
      const double middle = (good + bad) / 2;
      held = holds(middle, kPassesToProbe);
      if (!held) return pass(std::move(held));
      (*held ? good : bad) = middle;
    }
    for (int i = 0; i < kMaxStepsDown && good > 0; ++i, good *= kStepDown) {
      held = holds(good, kPassesToConfirm);
      if (!held) return pass(std::move(held));
      if (*held) return found(false);
    }
    return fail("search for a rate with little loss", "no rate held; does the path forward at all?",
                0);
  }

 private:
  /// True when passes_needed trials pass before kFailuresAllowed is exceeded.
  Result<bool> holds(std::optional<double> fps, int passes_needed) {
    int passes = 0;
    int failures = 0;
    while (passes < passes_needed && failures <= kFailuresAllowed) {
      Result<Sample> sample = trial_(fps);
      if (!sample) return pass(std::move(sample));
      found_.trials.push_back(*sample);
      if (!sample->passes()) {
        ++failures;
        continue;
      }
      if (passes == 0 || sample->sent_fps < found_.fps) found_.fps = sample->sent_fps;
      ++passes;
    }
    return passes == passes_needed;
  }

  RateFound found(bool sender_limited) {
    found_.sender_limited = sender_limited;
    return std::move(found_);
  }

  Trial trial_;
  RateFound found_;
};

}  // namespace vethd::bench

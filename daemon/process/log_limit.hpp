// How many lines of one kind the log takes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace vethd {

/// A token bucket for each kind of line. What others do to a device, as fast as they like, makes us
/// log; the lines of one kind must not push out those of others.
///
/// Shape    a kind is a place in the source: there are as many as calls that log.
/// Threads  one at a time.
class LogLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // All pairs of a namespace of some size may be named as it goes; who makes us log on and on gets
  // a line per second.
  static constexpr double kBurst = 200;    // lines
  static constexpr double kPerSecond = 1;  // lines

  struct Kind {
    const char* file = nullptr;
    int line = 0;
    friend bool operator==(const Kind&, const Kind&) = default;
  };

  /// Whether a line of this kind may go out now.
  bool take(Kind kind, Clock::time_point now);

  /// It did not go out.
  void leave_out(Kind kind, std::string_view text);

  [[nodiscard]] bool anything_left_out() const { return left_out_ > 0; }

  /// Calls say(count, last text) for each kind with lines left out; what it returns true for is
  /// forgotten.
  void say_left_out(const std::function<bool(std::uint64_t, const std::string&)>& say);

 private:
  struct Bucket {
    double tokens = kBurst;
    Clock::time_point filled;
    std::uint64_t left_out = 0;
    std::string last;  // of those left out
  };
  struct HashKind {
    std::size_t operator()(const Kind& kind) const {
      return std::hash<const void*>{}(kind.file) ^ std::hash<int>{}(kind.line);
    }
  };

  std::unordered_map<Kind, Bucket, HashKind> buckets_;
  std::uint64_t left_out_ = 0;  // of all kinds
};

}  // namespace vethd

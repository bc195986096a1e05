#include "daemon/process/log_limit.hpp"

#include <algorithm>

namespace vethd {

bool LogLimit::take(Kind kind, Clock::time_point now) {
  const auto [place, fresh] = buckets_.try_emplace(kind);
  Bucket& bucket = place->second;
  if (fresh) bucket.filled = now;
  const std::chrono::duration<double> passed = now - bucket.filled;
  bucket.tokens = std::min(kBurst, bucket.tokens + passed.count() * kPerSecond);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void LogLimit::leave_out(Kind kind, std::string_view text) {
  Bucket& bucket = buckets_[kind];
  ++bucket.left_out;
  ++left_out_;
  bucket.last = text;
}

void LogLimit::say_left_out(const std::function<bool(std::uint64_t, const std::string&)>& say) {
  for (auto& [kind, bucket] : buckets_) {
    if (bucket.left_out == 0 || !say(bucket.left_out, bucket.last)) continue;
    left_out_ -= bucket.left_out;
    bucket.left_out = 0;
    bucket.last.clear();
  }
}

}  // namespace vethd

#include "bench/path/traffic.hpp"

#include <thread>

namespace vethd::bench {

Result<Traffic> Traffic::open(const Ends& ends, const std::string& from_address) {
  std::vector<OneWay> ways;
  Result<OneWay> there = OneWay::open(ends);
  if (!there) return pass(std::move(there));
  ways.push_back(std::move(*there));
  if (!from_address.empty()) {
    Result<OneWay> back = OneWay::open({.from_netns = ends.to_netns,
                                        .to_netns = ends.from_netns,
                                        .to_address = from_address,
                                        .sender_cpu = ends.receiver_cpu,
                                        .receiver_cpu = ends.sender_cpu,
                                        .frame_bytes = ends.frame_bytes,
                                        .flows = ends.flows});
    if (!back) return pass(std::move(back));
    ways.push_back(std::move(*back));
  }
  return Traffic(std::move(ways));
}

Result<Outcome> Traffic::trial(const Load& load, std::span<const pid_t> forwarder) {
  Load share = load;
  if (share.fps) *share.fps /= static_cast<double>(ways_.size());
  std::vector<Result<Tally>> tallies(ways_.size());

  Result<CpuTime> before = read_cpu_time(forwarder);
  if (!before) return pass(std::move(before));
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < ways_.size(); ++i) {
      others.emplace_back([&, i] { tallies[i] = ways_[i].trial(share); });
    }
    tallies.front() = ways_.front().trial(share);
  }
  Result<CpuTime> after = read_cpu_time(forwarder);
  if (!after) return pass(std::move(after));

  Outcome outcome{.ways = {}, .cpu = *after - *before};
  for (Result<Tally>& tally : tallies) {
    if (!tally) return pass(std::move(tally));
    outcome.ways.push_back(*tally);
  }
  return outcome;
}

}  // namespace vethd::bench

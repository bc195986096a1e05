// Traffic for run.sh: a quiet stream that is timed, and floods beside it.
//
//   neighbour probe   a steady stream through one pair, reported in JSON
//   neighbour flood   UDP through another pair as fast as it goes, until a signal ends it
#include <sys/types.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/neighbour/flood.hpp"
#include "bench/neighbour/probe.hpp"
#include "bench/path/usage.hpp"

namespace vethd::bench {
namespace {

namespace json = boost::json;
using std::chrono::nanoseconds;

struct Options {
  Stream stream;
  Flood flood;
  double seconds = 1;
  std::vector<pid_t> accounted;  // processes that belong to the measurement
  std::string busy_netns;        // where a flood arrives
};

double microseconds(nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

Result<json::object> run_probe(Options& options) {
  options.stream.duration =
      nanoseconds{static_cast<std::int64_t>(options.seconds * std::nano::den)};
  Result<Carried> carried_before = read_carried(options.busy_netns);
  if (!carried_before) return pass(std::move(carried_before));
  Result<CpuTime> before = read_cpu_time(options.accounted);
  if (!before) return pass(std::move(before));

  Result<Probed> probed = probe(options.stream);
  if (!probed) return pass(std::move(probed));

  Result<CpuTime> after = read_cpu_time(options.accounted);
  if (!after) return pass(std::move(after));
  Result<Carried> carried_after = read_carried(options.busy_netns);
  if (!carried_after) return pass(std::move(carried_after));

  const CpuTime spent = *after - *before;
  const double seconds = std::chrono::duration<double>(spent.wall).count();
  const auto datagrams = static_cast<double>(carried_after->datagrams - carried_before->datagrams);
  const auto octets = static_cast<double>(carried_after->ip_octets - carried_before->ip_octets);
  json::object result{
      {"sent", probed->sent},
      {"received", probed->received},
      {"lost_share", 1 - static_cast<double>(probed->received) / static_cast<double>(probed->sent)},
      {"reordered", probed->reordered},
      {"sent_fps", probed->sent_fps},
      {"others_cpus", spent.others_cpus()},
      {"flood_fps", datagrams / seconds},
      {"flood_bits_per_second", 8 * octets / seconds}};
  if (probed->received > 0) {
    result["p50_us"] = microseconds(probed->p50);
    result["p99_us"] = microseconds(probed->p99);
    result["p999_us"] = microseconds(probed->p999);
    result["max_us"] = microseconds(probed->max);
  }
  return result;
}

}  // namespace
}  // namespace vethd::bench

int main(int argc, char* argv[]) {
  using namespace vethd::bench;
  Options options;
  CLI::App app{"A timed stream through one pair, a flood through another."};
  app.require_subcommand(1);

  CLI::App* timed = app.add_subcommand("probe", "a steady stream of 64-byte frames, timed");
  timed->add_option("--from", options.stream.from_netns, "namespace of the sender")->required();
  timed->add_option("--to", options.stream.to_netns, "namespace of the receiver")->required();
  timed->add_option("--address", options.stream.to_address, "IPv4 address of the receiver")
      ->required();
  timed->add_option("--busy", options.busy_netns, "namespace in which a flood arrives")->required();
  timed->add_option("--fps", options.stream.fps, "frames per second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  timed->add_option("--seconds", options.seconds, "length of the stream")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  timed
      ->add_option("--accounted", options.accounted,
                   "processes that are part of the measurement; CPU time of all others disturbs it")
      ->delimiter(',');

  CLI::App* busy = app.add_subcommand("flood", "UDP as fast as it goes, until a signal");
  busy->add_option("--from", options.flood.from_netns, "namespace of the senders")->required();
  busy->add_option("--to", options.flood.to_netns, "namespace of the receiver")->required();
  busy->add_option("--address", options.flood.to_address, "IPv4 address of the receiver")
      ->required();
  busy->add_option("--senders", options.flood.senders)
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  busy->add_option("--bytes", options.flood.bytes, "UDP payload of a send")
      ->check(CLI::Range(1, 65507))
      ->capture_default_str();
  busy->add_option("--segment", options.flood.segment, "UDP_SEGMENT: payload of each frame")
      ->check(CLI::Range(1, 65507));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (*busy) {
    const auto ended = flood(options.flood);
    std::fprintf(stderr, "neighbour: %s\n", ended.error().text().c_str());
    return 1;
  }
  const auto result = run_probe(options);
  if (!result) {
    std::fprintf(stderr, "neighbour: %s\n", result.error().text().c_str());
    return 1;
  }
  std::puts(boost::json::serialize(*result).c_str());
  return 0;
}

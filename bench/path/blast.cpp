// Traffic for run.sh: sends UDP frames from one namespace to another and reports in JSON what came
// of them. One process with a thread at each end, so that both share one clock.
//
//   blast rate     frames at a set rate: sent, received, lost, reordered, CPU time
//   blast flood    the same at full speed: what is delivered when too much is offered
//   blast search   the highest rate with at most 0.1 % loss
//   blast rtt      round-trip percentiles of one frame at a time
//   blast idle     no traffic: CPU time and memory of a forwarder that has nothing to do
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <string>
#include <thread>

#include "bench/path/rate_search.hpp"
#include "bench/path/round_trip.hpp"
#include "bench/path/traffic.hpp"

namespace vethd::bench {
namespace {

namespace json = boost::json;
using std::chrono::nanoseconds;

struct Options {
  Ends ends;
  std::string from_address;      // empty: nothing goes back
  std::vector<pid_t> forwarder;  // processes whose CPU time is wanted
  double seconds = 1;            // of one trial
  double fps = 0;                // rate only
  Pace pace = Pace::spin;

  [[nodiscard]] nanoseconds duration() const {
    return nanoseconds{static_cast<std::int64_t>(seconds * std::nano::den)};
  }
};

double microseconds(nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

json::object to_json(const Outcome& outcome) {
  const auto received = static_cast<double>(outcome.received());
  return {{"sent", outcome.sent()},
          {"received", outcome.received()},
          {"lost", outcome.sent() - outcome.received()},
          {"lost_share", outcome.worst_loss()},
          {"reordered", outcome.reordered()},
          {"sent_fps", outcome.sent_fps()},
          {"received_fps", outcome.received_fps()},
          {"machine_cpu_us_per_frame", microseconds(outcome.cpu.machine) / received},
          {"forwarder_cpu_us_per_frame", microseconds(outcome.cpu.forwarder) / received},
          {"others_cpus", outcome.cpu.others_cpus()}};
}

Result<json::object> run_rate(const Options& options) {
  Result<Traffic> path = Traffic::open(options.ends, options.from_address);
  if (!path) return pass(std::move(path));
  Load load{.fps = std::nullopt, .duration = options.duration(), .pace = options.pace};
  if (options.fps > 0) load.fps = options.fps;
  Result<Outcome> outcome = path->trial(load, options.forwarder);
  if (!outcome) return pass(std::move(outcome));
  if (outcome->received() == 0) return fail("receive test frames", "not one arrived", 0);
  return to_json(*outcome);
}

Result<json::object> run_search(const Options& options) {
  Result<Traffic> path = Traffic::open(options.ends, options.from_address);
  if (!path) return pass(std::move(path));
  std::uint64_t reordered = 0;
  double others_cpus = 0;  // in the worst trial
  RateSearch search([&](std::optional<double> fps) -> Result<Sample> {
    Result<Outcome> outcome =
        path->trial({.fps = fps, .duration = options.duration()}, options.forwarder);
    if (!outcome) return pass(std::move(outcome));
    reordered += outcome->reordered();
    others_cpus = std::max(others_cpus, outcome->cpu.others_cpus());
    return Sample{
        .offered_fps = fps, .sent_fps = outcome->even_fps(), .lost_share = outcome->worst_loss()};
  });
  Result<RateFound> found = search.run();
  if (!found) return pass(std::move(found));

  json::array trials;
  for (const Sample& sample : found->trials) {
    json::value offered;  // null: as fast as possible
    if (sample.offered_fps) offered = *sample.offered_fps;
    trials.push_back(json::object{{"offered_fps", offered},
                                  {"sent_fps", sample.sent_fps},
                                  {"lost_share", sample.lost_share}});
  }
  return json::object{{"fps", found->fps},
                      {"sender_limited", found->sender_limited},
                      {"reordered", reordered},
                      {"others_cpus", others_cpus},
                      {"trials", std::move(trials)}};
}

Result<json::object> run_rtt(const Options& options) {
  Result<RoundTrips> trips = measure_round_trips(options.ends, options.duration());
  if (!trips) return pass(std::move(trips));
  return json::object{{"count", trips->count},
                      {"lost", trips->lost},
                      {"p50_us", microseconds(trips->p50)},
                      {"p99_us", microseconds(trips->p99)},
                      {"p999_us", microseconds(trips->p999)}};
}

Result<json::object> run_idle(const Options& options) {
  Result<CpuTime> before = read_cpu_time(options.forwarder);
  if (!before) return pass(std::move(before));
  std::this_thread::sleep_for(options.duration());
  Result<CpuTime> after = read_cpu_time(options.forwarder);
  if (!after) return pass(std::move(after));
  Result<Memory> memory = read_memory(options.forwarder);
  if (!memory) return pass(std::move(memory));
  const CpuTime spent = *after - *before;
  return json::object{
      {"cpu_percent", 100 * microseconds(spent.forwarder) / microseconds(spent.wall)},
      {"resident_kib", memory->resident_kib},
      {"peak_kib", memory->peak_kib}};
}

}  // namespace
}  // namespace vethd::bench

int main(int argc, char* argv[]) {
  using namespace vethd::bench;
  Options options;
  CLI::App app{"Traffic between two network namespaces, reported in JSON."};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--seconds", options.seconds, "length of a trial")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* forwarder =
      app.add_option("--forwarder", options.forwarder, "processes whose CPU time is wanted")
          ->delimiter(',');

  CLI::App* rate = app.add_subcommand("rate", "frames at a set rate");
  CLI::App* flood = app.add_subcommand("flood", "frames as fast as possible");
  CLI::App* search = app.add_subcommand("search", "the highest rate with at most 0.1 % loss");
  CLI::App* rtt = app.add_subcommand("rtt", "round-trip percentiles");
  CLI::App* idle = app.add_subcommand("idle", "CPU time and memory of an idle forwarder");
  for (CLI::App* traffic : {rate, flood, search, rtt}) {
    traffic->add_option("--from", options.ends.from_netns, "namespace of the sender")->required();
    traffic->add_option("--to", options.ends.to_netns, "namespace of the receiver")->required();
    traffic->add_option("--address", options.ends.to_address, "IPv4 address of the receiver")
        ->required();
    traffic->add_option("--sender-cpu", options.ends.sender_cpu)->capture_default_str();
    traffic->add_option("--receiver-cpu", options.ends.receiver_cpu)->capture_default_str();
    traffic->add_option("--frame", options.ends.frame_bytes, "bytes on the wire, FCS included")
        ->check(CLI::Range(kMinFrameBytes, kMaxFrameBytes))
        ->capture_default_str();
  }
  for (CLI::App* load : {rate, flood, search}) {
    load->add_option("--flows", options.ends.flows, "UDP ports, a frame to each in turn")
        ->check(CLI::Range(1U, kMaxFlows))
        ->capture_default_str();
    load->add_option("--both", options.from_address,
                     "load the way back as well, to this address of the sender; rates are sums");
  }
  rate->add_option("--fps", options.fps, "frames per second")
      ->required()
      ->check(CLI::PositiveNumber);
  rate->add_flag_callback(
      "--sleep", [&] { options.pace = Pace::sleep; }, "sleep between sends instead of spinning");
  idle->needs(forwarder);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  const auto run = *rate || *flood ? run_rate : *search ? run_search : *rtt ? run_rtt : run_idle;
  const auto result = run(options);
  if (!result) {
    std::fprintf(stderr, "blast: %s\n", result.error().text().c_str());
    return 1;
  }
  std::puts(boost::json::serialize(*result).c_str());
  return 0;
}

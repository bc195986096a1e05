#include "daemon/control/observe.hpp"

#include <utility>

namespace vethd {
namespace {

EndReport describe_end(const PairEnd& end) {
  EndReport report;
  report.ifname = end.link.name;
  report.netns = end.netns->netns.label();
  report.ifindex = end.link.ifindex;
  report.mtu = end.link.mtu;
  report.mac = end.link.mac;
  report.up = end.link.up;
  report.driver = "tap";
  report.queues = end.config.queues;
  report.offloads = end.tap->offloads();
  // What was lost before the daemon could read it; the device itself counts that.
  if (const auto now = end.netns->links.get(end.link.ifindex))
    report.tap_ring_dropped = now->stats.tx_dropped;
  return report;
}

}  // namespace

Report Observer::describe() const {
  Report report;
  report.daemon = daemon_;
  for (const auto& pair : pairs_.all()) {
    if (pair == nullptr || pair->removing) continue;
    PairReport& out = report.pairs.emplace_back();
    out.name = pair->name;
    out.machine = config_.machines[pair->machine.value].name;
    out.carrier = pair->carrier;
    out.a = describe_end(pair->end(Side::a));
    out.b = describe_end(pair->end(Side::b));
  }
  return report;
}

void Observer::add_snapshots(Report& report, const std::vector<MailAnswer>& answers) const {
  std::size_t index = 0;
  for (const auto& pair : pairs_.all()) {
    if (pair == nullptr || pair->removing) continue;
    PairReport& out = report.pairs[index++];
    for (const MailAnswer& answer : answers) {
      const auto add = [&](Side from, DirectionReport& direction) {
        const auto& path = answer.snapshot->paths[path_from(pair->id, from).value];
        direction.counters += path.counters;
        direction.in_flight += path.in_flight;
      };
      add(Side::a, out.a_to_b);
      add(Side::b, out.b_to_a);
    }
  }
  for (const MailAnswer& answer : answers) {
    for (std::size_t machine = 0; machine < config_.machines.size(); ++machine)
      report.softnet.push_back({.machine = config_.machines[machine].name,
                                .cpu = answer.worker,
                                .counters = answer.snapshot->machines[machine]});
    report.workers.push_back({.cpu = answer.worker, .counters = answer.snapshot->worker});
  }
}

void Observer::answer(Command command, std::function<void(const Answer&)> reply) {
  switch (command) {
    case Command::show:
      reply(show_json(describe()));
      return;
    case Command::stats:
      workers_.tell(TakeSnapshot{}, [this, reply = std::move(reply)](const auto& answers) {
        Report report = describe();
        add_snapshots(report, answers);
        reply(stats_json(report));
      });
      return;
  }
}

}  // namespace vethd

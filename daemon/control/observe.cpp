#include "daemon/control/observe.hpp"

#include <string_view>
#include <utility>

#include "config/kernel.hpp"
#include "config/suggest.hpp"
#include "daemon/control/hooks.hpp"
#include "daemon/control/kernels.hpp"
#include "daemon/netns/nic.hpp"
#include "daemon/process/escape.hpp"
#include "daemon/stats/softnet_stat.hpp"

namespace vethd {
namespace {

/// The mode is that of each frame on a TAP: tun_can_build_skb(), tun_build_skb().
std::string xdp_mode(const LinkState& link) {
  if (link.native_xdp != 0) return "native; generic for GSO frames and frames over 3456 bytes";
  return link.generic_xdp != 0 ? "generic" : "detached by somebody else";
}

XdpReport describe_configured(const PairEnd& end) {
  XdpReport report{.object = end.config.xdp->object,
                   .program = end.config.xdp->program,
                   .id = end.xdp->id(),
                   .mode = is_configured(end) ? xdp_mode(end.link) : "detached by somebody else",
                   .counts = {}};
  if (auto counts = end.xdp->counts())
    report.counts = *counts;
  else
    report.counts = std::unexpected(counts.error().text());
  return report;
}

std::optional<XdpReport> describe_xdp(const PairEnd& end) {
  if (end.nic) return std::nullopt;  // the program is ours
  const std::uint32_t native = end.link.native_xdp;
  const std::uint32_t id = native != 0 ? native : end.link.generic_xdp;
  if (end.xdp && (id == 0 || is_configured(end))) return describe_configured(end);
  if (id == 0) return std::nullopt;
  return XdpReport{
      .object = {},
      .program = xdp_program_name(id),
      .id = id,
      .mode = xdp_mode(end.link),
      .counts = std::unexpected("attached by somebody else; name it in the configuration instead")};
}

std::string steer_text(const config::Steer& steer) {
  if (steer.all()) return "all";
  std::string words;
  if (steer.mac) words += " mac " + steer.mac->text();
  if (steer.vlan) words += " vlan " + std::to_string(*steer.vlan);
  if (steer.multicast) words += " multicast";
  return words.substr(1);
}

AfXdpReport describe_af_xdp(const PairEnd& end) {
  const Nic& nic = *end.nic;
  const auto now = nic_info(end.netns->netns, end.link.name);
  return {.driver = end.device_driver,
          .asked = std::string(config::name_of(end.config.af_xdp.mode)),
          .mode = name_of(nic.mode()),
          .refused = nic.refused(),
          .steer = steer_text(end.config.af_xdp.steer),
          .multi_buffer = nic.multi_buffer(),
          .attached = end.steered,
          .device_queues = now ? now->rx_queues : end.device_queues};
}

/// What is lost before the daemon can read it, or after it has written it.
DeviceCounters count_device(const PairEnd& end) {
  DeviceCounters counters;
  if (end.nic) {
    if (const auto sockets = end.nic->statistics())
      counters = {.tap_ring_dropped = 0,
                  .xsk_rx_dropped = sockets->rx_dropped,
                  .xsk_rx_ring_full = sockets->rx_ring_full,
                  .xsk_rx_fill_ring_empty = sockets->rx_fill_ring_empty_descs,
                  .xsk_rx_invalid_descs = sockets->rx_invalid_descs,
                  .xsk_tx_invalid_descs = sockets->tx_invalid_descs,
                  .xsk_tx_ring_empty = sockets->tx_ring_empty_descs};
  } else if (const auto now = end.netns->links.get(end.link.ifindex)) {
    counters.tap_ring_dropped = now->stats.tx_dropped;
  }
  return counters;
}

EndReport describe_end(const PairEnd& end) {
  EndReport report;
  // JSON takes no invalid UTF-8, a terminal no escape sequence; a name may have both.
  report.ifname = escaped(end.link.name);
  report.netns = escaped(end.netns->netns.label());
  report.ifindex = end.link.ifindex;
  report.mtu = end.link.mtu;
  report.mac = end.link.mac;
  report.up = end.link.up;
  report.driver = end.nic ? "af_xdp" : "tap";
  report.queues = end.config.queues;
  if (end.tap) report.offloads = end.tap->offloads();
  report.features = {.gro = end.features.gro,
                     .tso = end.features.tso,
                     .rx_udp_gro_forwarding = end.features.rx_udp_gro_forwarding};
  report.xdp = describe_xdp(end);
  if (end.nic) report.af_xdp = describe_af_xdp(end);
  report.device = count_device(end);
  return report;
}

VethXdp xdp_of(const PairEnd& end) {
  const auto xdp = describe_xdp(end);
  if (!xdp) return {};
  if (!xdp->counts) return {.program = true, .known = false};
  const XdpVerdicts& verdicts = xdp->counts->verdicts;
  return VethXdp{.program = true,
                 .redirected = verdicts.redirect,
                 .dropped = verdicts.drop + verdicts.aborted + verdicts.other,
                 .sent_back = verdicts.tx - xdp->counts->tx_errors,
                 .tx_errors = xdp->counts->tx_errors};
}

VethDirection direction_of(const DirectionReport& report, const PairEnd& sender,
                           const PairEnd& receiver) {
  VethDirection direction{.counters = report.counters, .rq = report.rq};
  if (const auto now = sender.netns->links.get(sender.link.ifindex))
    direction.sender_tx_dropped = now->stats.tx_dropped;
  if (const auto now = receiver.netns->links.get(receiver.link.ifindex))
    direction.receiver_rx_dropped = now->stats.rx_dropped;
  const VethXdp xdp = xdp_of(receiver);
  direction.receiver_xdp_dropped = xdp.dropped;
  direction.receiver_xdp_tx_errors = xdp.tx_errors;
  return direction;
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
    out.carrier = pair->carrier();
    out.coalesce = name_of(pair->coalesce);
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
        if (direction.rq.size() < path.rq.size()) direction.rq.resize(path.rq.size());
        for (std::size_t i = 0; i < path.rq.size(); ++i) direction.rq[i] += path.rq[i];
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

void Observer::show(const Reply& reply) const { reply(show_json(describe())); }

void Observer::add_veth_view(Report& report) const {
  std::size_t index = 0;
  for (const auto& pair : pairs_.all()) {
    if (pair == nullptr || pair->removing) continue;
    PairReport& out = report.pairs[index++];
    const VethStatsRules& rules = rules_of(config_.machines[pair->machine.value].kernel).stats;
    const VethDirection a_to_b = direction_of(out.a_to_b, pair->end(Side::a), pair->end(Side::b));
    const VethDirection b_to_a = direction_of(out.b_to_a, pair->end(Side::b), pair->end(Side::a));
    const auto view = [&](const PairEnd& end, const PairEnd& peer, const VethDirection& sent,
                          const VethDirection& received) {
      return EndReport::VethView{
          .link = veth_link_stats(rules, sent, received),
          .ethtool = veth_ethtool_stats(rules, peer.link.ifindex, end.config.queues, received.rq,
                                        xdp_of(end))};
    };
    out.a.veth = view(pair->end(Side::a), pair->end(Side::b), a_to_b, b_to_a);
    out.b.veth = view(pair->end(Side::b), pair->end(Side::a), b_to_a, a_to_b);
  }
}

void Observer::show_stats(Reply reply) {
  workers_.tell(TakeSnapshot{}, [this, reply = std::move(reply)](const auto& answers) {
    Report report = describe();
    add_snapshots(report, answers);
    add_veth_view(report);
    reply(show_json(report));
  });
}

void Observer::stats(Reply reply) {
  workers_.tell(TakeSnapshot{}, [this, reply = std::move(reply)](const auto& answers) {
    Report report = describe();
    add_snapshots(report, answers);
    reply(stats_json(report));
  });
}

void Observer::softnet(const Request& request, Reply reply) {
  std::vector<std::size_t> wanted;  // indices of machines
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < config_.machines.size(); ++i) {
    names.push_back(config_.machines[i].name);
    if (!request.machine || *request.machine == names.back()) wanted.push_back(i);
  }
  if (wanted.empty())
    return reply(std::unexpected("there is no machine '" + *request.machine + "'; " +
                                 config::suggest(*request.machine, names)));
  workers_.tell(TakeSnapshot{},
                [this, wanted = std::move(wanted), reply = std::move(reply)](const auto& answers) {
                  std::vector<SoftnetStatReport> machines;
                  for (const std::size_t index : wanted) {
                    const config::Softnet& machine = config_.machines[index];
                    SoftnetStatReport& out = machines.emplace_back(
                        SoftnetStatReport{.machine = machine.name,
                                          .kernel = std::string(config::name_of(machine.kernel)),
                                          .columns = config::softnet_stat_columns(machine.kernel),
                                          .cpus = {}});
                    for (const MailAnswer& answer : answers)  // by CPU
                      out.cpus.push_back(answer.snapshot->machines[index]);
                  }
                  reply(softnet_json(machines));
                });
}

}  // namespace vethd

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "daemon/stats/report.hpp"

namespace vethd {
namespace {

namespace json = boost::json;

json::array array_of(const std::vector<std::string>& words) {
  return json::array(words.begin(), words.end());
}

/// The kernel lets a device or namespace be called almost any bytes, and whoever owns the namespace
/// chooses them: what is not printable ASCII becomes \xNN, so that the JSON stays valid UTF-8 and a
/// terminal shows text.
std::string printable(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      ((out += "\\x") += kDigits[byte >> 4]) += kDigits[byte & 0xf];
    }
  }
  return out;
}

json::value show_xdp(const std::optional<XdpReport>& xdp) {
  if (!xdp) return nullptr;
  json::object out{
      {"object", xdp->object.empty() ? json::value() : json::value(printable(xdp->object))},
      {"program", printable(xdp->program)},
      {"id", xdp->id},
      {"mode_note", xdp->mode}};
  if (xdp->counts) {
    json::object verdicts;
    for_each_verdict(xdp->counts->verdicts,
                     [&](std::string_view name, std::uint64_t frames) { verdicts[name] = frames; });
    out["verdicts"] = std::move(verdicts);
    out["tx_errors"] = xdp->counts->tx_errors;
  } else {
    out["verdicts"] = "unknown";
    out["verdicts_reason"] = printable(xdp->counts.error());
  }
  return out;
}

json::value show_af_xdp(const std::optional<AfXdpReport>& af_xdp) {
  if (!af_xdp) return nullptr;
  return {{"device_driver", printable(af_xdp->driver)},
          {"mode_asked", af_xdp->asked},
          {"mode", af_xdp->mode},
          {"refused", array_of(af_xdp->refused)},
          {"steer", af_xdp->steer},
          {"multi_buffer", af_xdp->multi_buffer},
          {"attached", af_xdp->attached},
          {"device_queues", af_xdp->device_queues}};
}

json::object show_link_stats(const VethLinkStats& link) {
  return {{"rx_packets", link.rx_packets}, {"rx_bytes", link.rx_bytes},
          {"rx_errors", link.rx_errors},   {"rx_dropped", link.rx_dropped},
          {"tx_packets", link.tx_packets}, {"tx_bytes", link.tx_bytes},
          {"tx_errors", link.tx_errors},   {"tx_dropped", link.tx_dropped}};
}

json::object show_end(const EndReport& end) {
  json::object out{{"ifname", printable(end.ifname)},
                   {"netns", printable(end.netns)},
                   {"ifindex", end.ifindex},
                   {"mtu", end.mtu},
                   {"mac", end.mac.text()},
                   {"up", end.up},
                   {"driver", end.driver},
                   {"queues", end.queues},
                   {"offloads", array_of(end.offloads)},
                   {"features",
                    {{"gro", end.features.gro},
                     {"tso", end.features.tso},
                     {"rx_udp_gro_forwarding", end.features.rx_udp_gro_forwarding}}},
                   {"xdp", show_xdp(end.xdp)},
                   {"af_xdp", show_af_xdp(end.af_xdp)}};
  if (end.veth) {
    out["stats"] = show_link_stats(end.veth->link);
    json::object ethtool;
    for (const auto& [name, value] : end.veth->ethtool) ethtool[name] = value;
    out["ethtool"] = std::move(ethtool);
  }
  return out;
}

json::object name_end(const EndReport& end) {
  return {{"ifname", printable(end.ifname)}, {"netns", printable(end.netns)}};
}

json::object direction(const DirectionReport& way, const EndReport& sender,
                       const EndReport& receiver) {
  json::object out;
  for_each_counter(way.counters, [&](std::string_view name, auto, auto, auto, std::uint64_t value) {
    out[name] = value;
  });
  for_each_device_counter(
      sender.device, receiver.device,
      [&](std::string_view name, auto, auto, std::uint64_t value) { out[name] = value; });
  out["in_flight"] = total(way.in_flight);
  json::object places;
  for_each_in_flight(way.in_flight, [&](std::string_view name, auto, std::uint64_t value) {
    places[name] = value;
  });
  out["in_flight_at"] = std::move(places);
  out["balanced"] = balanced(way.counters, way.in_flight);
  return out;
}

}  // namespace

json::object show_json(const Report& report) {
  json::array pairs;
  for (const PairReport& pair : report.pairs) {
    pairs.push_back({{"name", pair.name},
                     {"machine", pair.machine},
                     {"carrier", pair.carrier},
                     {"coalesce", pair.coalesce},
                     {"a", show_end(pair.a)},
                     {"b", show_end(pair.b)}});
  }
  const DaemonReport& daemon = report.daemon;
  return {{"pairs", std::move(pairs)},
          {"daemon",
           {{"version", daemon.version},
            {"pid", daemon.pid},
            {"workers", daemon.workers},
            {"memory_bytes", daemon.memory_bytes},
            {"control_socket", daemon.control_socket},
            {"io_uring",
             {{"in_use", array_of(daemon.io_uring.in_use)},
              {"missing", array_of(daemon.io_uring.missing)}}}}}};
}

json::object stats_json(const Report& report) {
  json::array pairs;
  for (const PairReport& pair : report.pairs) {
    pairs.push_back({{"name", pair.name},
                     {"machine", pair.machine},
                     {"a", name_end(pair.a)},
                     {"b", name_end(pair.b)},
                     {"a_to_b", direction(pair.a_to_b, pair.a, pair.b)},
                     {"b_to_a", direction(pair.b_to_a, pair.b, pair.a)}});
  }
  json::array softnet;
  for (const SoftnetReport& row : report.softnet) {
    json::object out{{"machine", row.machine}, {"cpu", row.cpu.value}};
    for_each_softnet(row.counters, [&](std::string_view name, auto, auto, std::uint64_t value) {
      out[name] = value;
    });
    softnet.push_back(std::move(out));
  }
  json::array workers;
  for (const WorkerReport& row : report.workers) {
    json::object out{{"cpu", row.cpu.value}};
    for_each_worker_counter(row.counters, [&](std::string_view name, auto, auto,
                                              std::uint64_t value) { out[name] = value; });
    workers.push_back(std::move(out));
  }
  return {{"pairs", std::move(pairs)},
          {"softnet", std::move(softnet)},
          {"workers", std::move(workers)}};
}

}  // namespace vethd

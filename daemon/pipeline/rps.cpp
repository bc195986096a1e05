#include "daemon/pipeline/rps.hpp"

#include <span>

#include "daemon/core/panic.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {
namespace {

std::uint32_t hash_of(const Machine& machine, Frame& frame, const std::byte* data) {
  if (broken(Stage::rps)) return static_cast<std::uint32_t>((frame.addr.value >> 4) * 0x9e3779b9);
  return skb_get_hash(frame, data, machine.hash_key, machine.rules);
}

/// The part of get_rps_cpu() that asks the flow tables.
RpsChoice steer_flow(const SockFlowTable& sockets, RpsDevFlowTable& flows, const Machine& machine,
                     std::uint32_t hash, Side receiver) {
  const std::uint32_t want = sockets.wanted(flow_ident(hash, receiver));
  const auto cpus = static_cast<std::uint32_t>(machine.softnet_data.size());
  if (want == kRpsNoCpu) return {};
  invariant(!flows.empty(), "a queue read here has the flow table it is recorded for");
  const auto entries = static_cast<std::uint32_t>(flows.size());
  RpsDevFlow& flow = flows[flow_slot(hash, entries, machine.rules.hashes_flow_slots)];
  const auto head_of = [&](std::uint32_t cpu) {
    return machine.softnet_data[cpu]->input_queue_head();
  };
  // Moves only once the queue it used has drained past its last frame; else it would be overtaken.
  if (flow.cpu != want && want < cpus &&
      (flow.cpu >= cpus || static_cast<std::int32_t>(head_of(flow.cpu) - flow.last_qtail) >= 0)) {
    flow.last_qtail = head_of(want);
    flow.cpu = want;
  }
  if (flow.cpu >= cpus) return {};
  return {.cpu = CpuId{flow.cpu}, .flow = &flow};
}

}  // namespace

RpsChoice get_rps_cpu(Path& path, Frame& frame, const std::byte* data) {
  if (!has_rps(path)) return {};
  const Device& peer = path.peer;
  const Machine& machine = path.softnet->machine();
  const std::uint32_t rxq = rx_queue_of(machine.rules, peer, frame.meta.queue_mapping);
  if (rxq >= peer.real_num_rx_queues) return {};
  const std::span<const CpuId> map = peer.rps_map(rxq);
  if (map.empty() && path.rps_flow_tables.empty()) return {};
  const std::uint32_t hash = hash_of(machine, frame, data);
  if (const SockFlowTable* const sockets = path.softnet->sock_flow_table();
      sockets != nullptr && !path.rps_flow_tables.empty()) {
    const RpsChoice choice =
        steer_flow(*sockets, path.rps_flow_tables[rxq], machine, hash, peer_of(entry_of(path.id)));
    if (choice.cpu) return choice;
  }
  if (map.empty()) return {};
  return {.cpu = map[reciprocal_scale(hash, static_cast<std::uint32_t>(map.size()))]};
}

void record_flow(const Path& path, SockFlowTable& sockets, Frame& frame, const std::byte* data) {
  const Machine& machine = path.softnet->machine();
  const std::uint32_t hash = skb_get_hash(frame, data, machine.hash_key, machine.rules);
  sockets.record(flow_ident(hash, entry_of(path.id)), path.softnet->cpu());
}

}  // namespace vethd

#include "daemon/pipeline/veth.hpp"

#include "daemon/pipeline/eth.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/forward.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/scrub.hpp"

namespace vethd {
namespace {

/// Emulates  veth_skb_is_eligible_for_gro(): with TSO at the sender there is little to gain.
bool eligible_for_gro(const Path& path, const Frame& frame, const std::byte* data) {
  return !path.dev.tso || (path.peer.rx_udp_gro_forwarding && taken_for_sock_wfree(frame, data));
}

/// The receive queue whose ring the frame goes to; nullptr: the backlog.
VethRq* napi_queue(const Path& path, const Rules& rules, const Frame& frame,
                   const std::byte* data) {
  const std::size_t queue = frame.meta.queue_mapping;
  if (queue >= path.rq.size() || path.rq[queue] == nullptr) return nullptr;
  if (!napi_enabled(rules, path.peer)) return nullptr;
  if (rules.napi == Rules::Napi::if_eligible && !eligible_for_gro(path, frame, data))
    return nullptr;
  return path.rq[queue].get();
}

/// What is the same for all frames of a path until control says otherwise.
struct Crossing {
  explicit Crossing(const Path& path)
      : rules(path.softnet->machine().rules),
        records_flows(path.softnet->sock_flow_table() != nullptr),
        marks(path.dev.mark != 0 || path.dev.priority != 0 || path.dev.classid != 0) {}

  const Rules& rules;
  bool records_flows;
  bool marks;
};

enum class Forward : std::uint8_t {
  passes,
  dropped,  // and counted
  unsure    // uncounted: Xmit::unsure
};

/// Emulates  net/core/dev.c: ____dev_forward_skb(): the tests.
inline Forward is_forwardable(Path& path, const Frame& frame, const std::byte* data) {
  if (!path.peer.running) {
    ++path.counters.drop_receiver_down;
    return Forward::dropped;
  }
  if (!is_skb_forwardable(path.peer, frame, data)) {
    if (path.can_ask) return Forward::unsure;
    ++path.counters.drop_not_forwardable;
    return Forward::dropped;
  }
  return Forward::passes;
}

/// From the sending device to the receiving one, up to the choice of a queue. May be called again
/// for a frame of which it was unsure.
///
/// Emulates  net/core/dev.c: __dev_forward_skb().
inline Forward dev_forward_skb(Path& path, const Crossing& crossing, Frame& frame,
                               const std::byte* data) {
  if (frame.len < kEthHeaderBytes) {
    ++path.counters.drop_length;
    return Forward::dropped;
  }
  if (crossing.records_flows) sock_rps_record_flow(path, frame, data);
  if (crossing.marks) {
    frame.meta.mark = path.dev.mark;
    frame.meta.priority = path.dev.priority;
    frame.meta.classid = path.dev.classid;
  }
  const Forward tests = is_forwardable(path, frame, data);
  if (tests != Forward::passes) return tests;
  scrub(crossing.rules, path, frame.meta);
  eth_type_trans(crossing.rules, frame, data, path.peer);
  skb_postpull_rcsum(frame.meta);
  return Forward::passes;
}

/// Where RPS says, or on this CPU.
SoftnetData::Enqueue enqueue(Path& path, Frame& frame, const std::byte* data, Outside& outside) {
  SoftnetData& sd = *path.softnet;
  if (!has_rps(path)) return sd.enqueue_to_backlog(frame, data, path.peer);
  const RpsChoice rps = get_rps_cpu(path, frame, data);
  return sd.enqueue_to_backlog(frame, data, path.peer, rps.cpu.value_or(sd.cpu()), rps.flow,
                               outside);
}

/// Emulates  net/core/dev.c: netif_rx_internal().
bool netif_rx(Path& path, Frame& frame, const std::byte* data, Outside& outside) {
  // The frame may be another CPU's in a moment.
  const std::uint32_t len = skb_len(frame.len, frame.meta.protocol);
  switch (enqueue(path, frame, data, outside)) {
    case SoftnetData::Enqueue::queued:
      ++path.counters.netif_rx_frames;
      path.counters.netif_rx_bytes += len;
      return true;
    case SoftnetData::Enqueue::dev_ready:
      ++path.counters.drop_dev_ready;
      return false;
    case SoftnetData::Enqueue::cpu_backlog:
      ++path.counters.drop_cpu_backlog;
      return false;
    case SoftnetData::Enqueue::flow_limit:
      ++path.counters.drop_flow_limit;
      return false;
  }
  return false;
}

/// Emulates  drivers/net/veth.c: veth_xdp_rx().
bool veth_xdp_rx(Path& path, VethRq& rq, Frame& frame) {
  const bool taken = rq.put(frame);
  if (!taken) ++path.counters.drop_ring_full;
  return taken;
}

/// Emulates  drivers/net/veth.c: __veth_xdp_flush().
void veth_xdp_flush(const Path& path, VethRq& rq) {
  if (rq.kick()) path.softnet->napi_schedule(rq);
}

}  // namespace

bool napi_enabled(const Rules& rules, const Device& peer) {
  if (!peer.running || rules.napi == Rules::Napi::never) return false;
  return peer.has_xdp || (rules.napi == Rules::Napi::if_eligible && peer.gro);
}

VethRq* merging_queue(const Path& path, QueueId queue) {
  if (queue.value >= path.rq.size() || !path.peer.gro || path.peer.has_xdp) return nullptr;
  if (path.dev.tso && !path.peer.rx_udp_gro_forwarding) return nullptr;  // none is eligible
  if (!napi_enabled(path.softnet->machine().rules, path.peer)) return nullptr;
  return path.rq[queue.value].get();
}

Xmit veth_xmit(Path& path, Frame& frame, const std::byte* data, Outside& outside) {
  const Crossing crossing(path);
  const Rules& rules = crossing.rules;
  VethRq* const rq = path.rq.empty() ? nullptr : napi_queue(path, rules, frame, data);
  if (rq != nullptr && rules.tx_stops_on_full_ring && path.dev.has_qdisc && rq->full()) {
    // The kernel finds out after the forward tests, which a frame passes again when it is sent
    // again; so it does here.
    rq->stop_tx_queue();
    ++path.counters.tx_busy;
    veth_xdp_flush(path, *rq);
    return Xmit::busy;
  }

  const Forward forward = dev_forward_skb(path, crossing, frame, data);
  if (forward == Forward::unsure) return Xmit::unsure;
  ++path.counters.rx_frames;
  path.counters.rx_bytes += frame.len;
  const bool taken =
      forward == Forward::passes &&
      (rq == nullptr ? netif_rx(path, frame, data, outside) : veth_xdp_rx(path, *rq, frame));
  if (rq != nullptr && (taken || rules.flushes_after_drop)) veth_xdp_flush(path, *rq);
  return taken ? Xmit::queued : Xmit::dropped;
}

bool takes_lists(const Path& path) {
  return path.rq.empty() && !has_rps(path) && !path.softnet->has_flow_limit();
}

void veth_xmit_list(Path& path, FrameList& frames, const Arena& arena, Outside& outside) {
  const Crossing crossing(path);
  std::uint64_t bytes = 0;
  std::uint64_t forwarded_bytes = 0;
  const Frame* unsure = nullptr;  // the first of those that stay
  const std::size_t sent = frames.size();
  frames.take_if(
      [&](Frame& frame) {
        if (unsure != nullptr) return false;
        const Forward forward = dev_forward_skb(path, crossing, frame, arena.bytes_of(frame));
        if (forward == Forward::unsure) {
          unsure = &frame;
          return false;
        }
        bytes += frame.len;
        if (forward == Forward::dropped) return true;
        forwarded_bytes += skb_len(frame.len, frame.meta.protocol);
        return false;
      },
      [&](Frame& frame) { outside.release(frame); });
  FrameList waiting(frames.holder());
  while (unsure != nullptr && waiting.front() != unsure) {
    Frame& last = *frames.back();
    frames.remove(last);
    waiting.push_front(last);
  }
  path.counters.rx_frames += sent - waiting.size();
  path.counters.rx_bytes += bytes;
  if (!frames.empty()) {
    path.counters.netif_rx_frames += path.softnet->enqueue_to_backlog(frames);
    path.counters.drop_cpu_backlog += frames.size();
    frames.drain([&](Frame& frame) {
      forwarded_bytes -= skb_len(frame.len, frame.meta.protocol);
      outside.release(frame);
    });
    path.counters.netif_rx_bytes += forwarded_bytes;
  }
  frames.splice(waiting);
}

}  // namespace vethd

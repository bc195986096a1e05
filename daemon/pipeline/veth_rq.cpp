#include "daemon/pipeline/veth_rq.hpp"

#include "daemon/frame/arena.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/flow.hpp"
#include "daemon/pipeline/forward.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {

// From this HZ on, GRO may keep a frame until the next tick: __napi_poll().
constexpr std::uint32_t kGroKeepsFromHz = 1000;

VethRq::VethRq(Path& path, const Rules& rules, QueueId queue, const Arena& arena)
    : path_(path), queue_(queue), arena_(arena), gro_(arena, rules.gro) {}

bool VethRq::has_gro() const { return path_.peer.gro && !path_.peer.has_xdp; }

bool VethRq::keeps_over_polls() const { return path_.softnet->machine().hz >= kGroKeepsFromHz; }

std::int64_t VethRq::jiffy(const RxContext& context) const {
  return path_.softnet->jiffies(context.clock.now());
}

std::int32_t VethRq::poll(std::int32_t quota, RxContext& context) {
  const bool gro = has_gro();
  // Below that HZ nothing is kept for an age to matter, and the clock need not be read.
  const std::int64_t now = gro && keeps_over_polls() ? jiffy(context) : 0;
  std::int32_t done = 0;
  for (; done < quota; ++done) {
    Frame* const frame = ring_.consume();
    if (frame == nullptr) break;
    ++counters_.xdp_packets;
    counters_.xdp_bytes += skb_len(frame->len, frame->meta.protocol) - kEthHeaderBytes;
    orphan(*frame);
    if (gro)
      napi_gro_receive(*frame, now, context);
    else
      netif_receive(*frame, context);
  }
  if (done < quota) {  // napi_complete_done()
    gro_.flush(passed_);
    netif_receive_list(context);
    clear_sched();
    rx_notify_masked_.store(broken(Stage::mask), std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the mask first, then the ring
    if (!ring_.empty() && schedule_prep()) {
      rx_notify_masked_.store(true, std::memory_order_relaxed);
      path_.softnet->napi_schedule(*this);
    }
  }
  if (!broken(Stage::wake_queue) && std::exchange(tx_stopped_, false))
    context.outside.wake_queue(path_.id, queue_);
  return done;
}

void VethRq::orphan(Frame& frame) {
  if (frame.meta.classid == 0) return;
  if (path_.softnet->machine().rules.poll_orphans == Rules::Orphan::unless_sock_wfree &&
      taken_for_sock_wfree(frame, arena_.bytes_of(frame)))
    return;
  frame.meta.classid = 0;
  ++path_.counters.classid_cleared;
}

void VethRq::flush_gro(RxContext& context) {
  if (gro_.empty()) return;
  if (keeps_over_polls())
    gro_.flush_old(jiffy(context), passed_);
  else
    gro_.flush(passed_);
  netif_receive_list(context);
}

void VethRq::napi_gro_receive(Frame& frame, std::int64_t jiffy, RxContext& context) {
  const GroFeatures features{.udp_forwarding = path_.peer.rx_udp_gro_forwarding};
  if (gro_.receive(frame, features, jiffy, passed_) == Gro::Result::merged)
    ++path_.counters.merged_frames;
  netif_receive_list(context);
}

void VethRq::netif_receive_list(RxContext& context) {
  while (Frame* const frame = passed_.pop()) netif_receive(*frame, context);
}

void VethRq::netif_receive(Frame& frame, RxContext& context) {
  SoftnetData& sd = *path_.softnet;
  const std::byte* const data = arena_.bytes_of(frame);
  const RpsChoice rps = get_rps_cpu(path_, frame, data);
  if (!rps.cpu) {
    sd.count_processed();
    context.delivered.push(frame);
    return;
  }
  if (sd.enqueue_to_backlog(frame, data, path_.peer, *rps.cpu, rps.flow, context.outside) ==
      SoftnetData::Enqueue::queued)
    return;
  ++path_.counters.drop_napi_backlog;
  context.outside.release(frame);
}

}  // namespace vethd

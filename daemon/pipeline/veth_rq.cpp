#include "daemon/pipeline/veth_rq.hpp"

#include "daemon/frame/arena.hpp"
#include "daemon/pipeline/device.hpp"
#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/softnet.hpp"

namespace vethd {

VethRq::VethRq(Path& path, QueueId queue, const Arena& arena)
    : path_(path), queue_(queue), arena_(arena) {}

std::uint32_t VethRq::poll(std::uint32_t quota, RxContext& context) {
  std::uint32_t done = 0;
  for (; done < quota; ++done) {
    Frame* const frame = ring_.consume();
    if (frame == nullptr) break;
    ++counters_.xdp_packets;
    counters_.xdp_bytes += frame->len - kEthHeaderBytes;
    netif_receive(*frame, context);
  }
  if (done < quota) {  // napi_complete_done()
    clear_sched();
    rx_notify_masked_.store(false, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the mask first, then the ring
    if (!ring_.empty() && schedule_prep()) {
      rx_notify_masked_.store(true, std::memory_order_relaxed);
      path_.softnet->napi_schedule(*this);
    }
  }
  if (std::exchange(tx_stopped_, false)) context.outside.wake_queue(path_.id, queue_);
  return done;
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

#include "daemon/pipeline/veth.hpp"

#include "daemon/pipeline/eth.hpp"
#include "daemon/pipeline/forward.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/scrub.hpp"

namespace vethd {
namespace {

/// Emulates  net/core/dev.c: __dev_forward_skb(), ____dev_forward_skb().
bool dev_forward_skb(Path& path, Frame& frame, const std::byte* data) {
  if (!path.peer.running) {
    ++path.counters.drop_receiver_down;
    return false;
  }
  if (!is_skb_forwardable(path.peer, frame)) {
    ++path.counters.drop_not_forwardable;
    return false;
  }
  scrub(path, frame.meta);
  eth_type_trans(frame, data, path.peer);
  skb_postpull_rcsum(frame.meta);
  return true;
}

/// Emulates  net/core/dev.c: netif_rx_internal().
bool netif_rx(Path& path, Frame& frame, const std::byte* data, RemoteCpu& remote) {
  SoftnetData& sd = *path.softnet;
  const CpuId cpu = get_rps_cpu(path.peer, frame, data, sd.machine().hash_key).value_or(sd.cpu());
  switch (sd.enqueue_to_backlog(frame, path.peer, cpu, remote)) {
    case SoftnetData::Enqueue::queued:
      return true;
    case SoftnetData::Enqueue::dev_ready:
      ++path.counters.drop_dev_ready;
      return false;
    case SoftnetData::Enqueue::cpu_backlog:
      ++path.counters.drop_cpu_backlog;
      return false;
  }
  return false;
}

}  // namespace

Xmit veth_xmit(Path& path, Frame& frame, const std::byte* data, RemoteCpu& remote) {
  ++path.counters.rx_frames;
  path.counters.rx_bytes += frame.len;
  if (frame.len < kEthHeaderBytes) {
    ++path.counters.drop_length;
    return Xmit::dropped;
  }
  if (!dev_forward_skb(path, frame, data)) return Xmit::dropped;
  return netif_rx(path, frame, data, remote) ? Xmit::queued : Xmit::dropped;
}

}  // namespace vethd

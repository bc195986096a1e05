// One frame: where its bytes lie, who holds it, and what the kernel would keep in its sk_buff.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/core/ids.hpp"

namespace vethd {

/// Who holds a frame. At any moment exactly one; every change goes through FrameList, FramePool or
/// what an endpoint keeps frames in, which check it.
enum class Holder : std::uint8_t {
  pool,             // free
  in_hand,          // local variable of the code handling it right now
  endpoint,         // read from a device, not yet in the path
  input_pkt_queue,  // softnet_data: arrivals not yet claimed by a poll
  process_queue,    // softnet_data: claimed by the running poll
  handover,         // on its way to another CPU's input_pkt_queue
  outbound,         // delivered, on its way to the worker that owns the endpoint
  napi_ring,        // veth_rq: sent to a receiver that polls
  gro_hold,         // waits in a NAPI's GRO table for more of its flow
  fragment,         // on the chain of a merged frame; goes wherever that goes
  transmit,         // delivered by the path, not yet given to the endpoint
  pending_write,    // an operation of the kernel reads its bytes
  written,          // the operation has ended; to be counted and freed
  homeward,         // done with, on its way to its own pool
  marker,           // no frame at all: a snapshot's marker in a hand-over queue
};

/// What kind of arena memory holds the bytes.
enum class Buffer : std::uint8_t {
  none,
  landing,  // holds any frame a TAP can carry; few, to stay in cache
  chunk     // 4 KiB, many
};

/// skb->ip_summed. CHECKSUM_COMPLETE cannot come through a TAP's descriptor.
enum class IpSummed : std::uint8_t { none, unnecessary, partial };

/// skb->pkt_type, PACKET_* of include/uapi/linux/if_packet.h.
enum class PacketType : std::uint8_t { host, broadcast, multicast, otherhost };

/// skb->tstamp_type: a non-zero type is a delivery time, which the scrub keeps.
enum class TstampType : std::uint8_t { realtime, monotonic, tai };

/// References that exist only as "there is one": bits of FrameMeta::references.
enum Reference : std::uint8_t {
  kRefConntrack = 1 << 0,
  kRefDst = 1 << 1,
  kRefExtensions = 1 << 2,  // secpath, bridge netfilter, tc, mptcp
  kRefIpvs = 1 << 3,
  kRefNfTrace = 1 << 4,
  kRefFwdMark = 1 << 5,  // offload_fwd_mark, offload_l3_fwd_mark
  kRefIgnoreDf = 1 << 6,
  kRefAll = 0x7f,
};

/// What an sk_buff knows beyond its bytes. Lives outside packet memory.
///
/// Shape  the rules of scrub.hpp say which fields cross to the peer. From a TAP arrive only what
///        the vnet header carries (checksum and segmentation) and the queue; the rest starts zero.
struct FrameMeta {
  std::uint16_t queue_mapping = 0;  // tx queue at the sender; RPS reads it as rx queue + 1
  std::uint16_t protocol = 0;       // EtherType as eth_type_trans() sees it, host order
  std::uint16_t csum_start = 0;     // bytes from the Ethernet header; with IpSummed::partial
  std::uint16_t csum_offset = 0;    // bytes from csum_start
  std::uint16_t gso_size = 0;       // payload bytes of a segment
  std::uint16_t hdr_len = 0;        // vnet header's hint: linear bytes, at least the headers
  std::uint16_t outer_th = 0;  // bytes from the Ethernet header; of a super-frame in a UDP tunnel:
  std::uint16_t inner_nh = 0;  // the tunnel's UDP header, and the network header inside
  std::uint8_t gso_type = 0;   // VIRTIO_NET_HDR_GSO_*; 0: not a super-frame
  bool outer_csum = false;     // the tunnel's UDP header has a checksum
  IpSummed ip_summed = IpSummed::none;
  PacketType pkt_type = PacketType::host;
  TstampType tstamp_type = TstampType::realtime;
  std::uint8_t references = 0;  // Reference bits
  bool l4_hash = false;         // hash includes ports or a flow label
  std::uint32_t hash = 0;       // 0: not computed
  std::uint32_t skb_iif = 0;    // ifindex the frame came in by
  std::uint32_t mark = 0;
  std::uint32_t priority = 0;
  std::uint32_t classid = 0;  // cgroup of the sending socket; lost where the scrub orphans
  std::int64_t tstamp = 0;    // ns

  /// Whether there is anything that a scrub could clear. Mostly not.
  [[nodiscard]] bool carries_anything() const {
    return (skb_iif | mark | priority | classid | references |
            static_cast<std::uint8_t>(pkt_type)) != 0 ||
           tstamp != 0;
  }
  friend bool operator==(const FrameMeta&, const FrameMeta&) = default;
};
static_assert(sizeof(FrameMeta) <= 64, "must stay a cache line");

struct alignas(64) Frame {
  // Data path: every stage reads these.
  FrameAddr addr;         // first byte of the Ethernet header; of a fragment: of its payload
  std::uint32_t len = 0;  // bytes of the whole frame, Ethernet header and fragments included
  PathId path;            // direction it travels
  Frame* next = nullptr;  // links of the list that holds it; of a fragment: the next fragment
  Frame* prev = nullptr;
  // A merged frame keeps the payload of the frames merged into it where it is, in order. They have
  // the same home, and are freed with it.
  Frame* frag_list = nullptr;
  Frame* frag_last = nullptr;
  std::uint32_t frag_bytes = 0;  // of len: on the chain; the rest is at addr
  std::int32_t write_error = 0;  // errno of the ended write, 0: written
  Holder holder = Holder::pool;
  Buffer buffer = Buffer::none;
  std::uint16_t home = 0;   // worker whose pool it belongs to
  std::uint16_t frags = 0;  // frames on the chain
  bool coalesced = false;   // chained only to be written: the ledger counts each
  FrameMeta meta;

  [[nodiscard]] std::uint32_t linear_bytes() const { return len - frag_bytes; }
  /// What the ledger counts it as.
  [[nodiscard]] std::uint32_t frames() const { return coalesced ? frags + 1U : 1U; }
  /// The segments it stands for: what it costs whoever receives it, roughly.
  [[nodiscard]] std::uint32_t weight() const {
    return meta.gso_size == 0 ? 1U : 1U + len / meta.gso_size;
  }
  /// All headers of those frames included.
  [[nodiscard]] std::uint32_t bytes() const {
    return coalesced ? len + std::uint32_t{frags} * meta.hdr_len : len;
  }
};
static_assert(sizeof(Frame) == 128, "two cache lines");

}  // namespace vethd

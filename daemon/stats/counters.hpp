// Every counter of the daemon, declared once. The structs, the tables, JSON and the tests are walks
// over these lists; a new drop reason is one line here.
#pragma once

#include <cstdint>
#include <string_view>

namespace vethd {

// X(name, kind, unit, help). The kind says where the row stands in the sum
//   rx + split = tx + merged + drop + in flight:
// `entered` and `left` are its sides, every `drop` is a way to leave, `other` stands outside.
#define VETHD_LEDGER(X)                                                                         \
  X(rx_frames, entered, "frames", "read from the endpoint")                                     \
  X(rx_bytes, other, "bytes", "of those, Ethernet header included")                             \
  X(drop_length, drop, "frames", "veth_xmit: shorter than an Ethernet header")                  \
  X(drop_receiver_down, drop, "frames", "____dev_forward_skb: receiver is not up")              \
  X(drop_not_forwardable, drop, "frames",                                                       \
    "____dev_forward_skb: longer than the receiver's mtu + 18 and not GSO")                     \
  X(drop_ring_full, drop, "frames", "veth_xdp_rx: the receive queue's ring is full, no qdisc")  \
  X(tx_busy, other, "times",                                                                    \
    "veth_xmit: ring full, the sender's queue is not read until veth_poll; loses no frame")     \
  X(mark_cleared, other, "frames", "skb_scrub_packet: a mark that was not 0")                   \
  X(priority_cleared, other, "frames", "____dev_forward_skb: a priority that was not 0")        \
  X(classid_cleared, other, "frames", "skb_orphan: a classid that was not 0")                   \
  X(drop_dev_ready, drop, "frames", "enqueue_to_backlog: DEV_READY, receiver not running")      \
  X(drop_cpu_backlog, drop, "frames",                                                           \
    "enqueue_to_backlog: CPU_BACKLOG, input_pkt_queue over netdev_max_backlog")                 \
  X(drop_flow_limit, drop, "frames",                                                            \
    "enqueue_to_backlog: CPU_BACKLOG, skb_flow_limit: more than its share of a long queue")     \
  X(netif_rx_frames, other, "frames", "veth_xmit: taken by a backlog, in tstats")               \
  X(netif_rx_bytes, other, "bytes",                                                             \
    "of those, Ethernet header included, but not an outer VLAN tag: skb->len")                  \
  X(drop_napi_backlog, drop, "frames",                                                          \
    "netif_receive_skb after a NAPI poll: refused by the backlog RPS chose")                    \
  X(drop_napi_disabled, drop, "frames",                                                         \
    "veth_napi_del: in the ring or in GRO when NAPI was switched off")                          \
  X(merged_frames, left, "frames", "napi_gro_receive: joined the frame before it")              \
  X(split_frames, entered, "frames",                                                            \
    "skb_gso_segment: segments of super-frames, but the first of each, for a network card")     \
  X(drop_not_segmentable, drop, "frames",                                                       \
    "skb_gso_segment: a super-frame whose headers and description do not match")                \
  X(drop_bad_csum_start, drop, "frames",                                                        \
    "skb_checksum_help: a checksum to be finished outside the frame")                           \
  X(drop_no_chunk, drop, "frames",                                                              \
    "for a network card: segments or waiting frames for which the arena had no chunk")          \
  X(drop_too_long, drop, "frames", "longer than a network card's chunk holds")                  \
  X(drop_write_eio, drop, "frames", "endpoint refused: EIO, the device is down")                \
  X(drop_write_einval, drop, "frames", "endpoint refused: EINVAL, offload description invalid") \
  X(drop_write_enobufs, drop, "frames", "endpoint refused: ENOBUFS")                            \
  X(drop_write_enomem, drop, "frames", "endpoint refused: ENOMEM")                              \
  X(drop_write_ebadfd, drop, "frames", "endpoint refused: EBADFD, the device is gone")          \
  X(drop_write_eagain, drop, "frames", "endpoint refused: EAGAIN, its buffer is full")          \
  X(drop_tx_ring_full, drop, "frames", "AF_XDP: no room in the tx ring")                        \
  X(drop_write_other, drop, "frames", "endpoint refused, with another errno")                   \
  X(drop_removed, drop, "frames", "in flight when the pair was removed")                        \
  X(tx_frames, left, "frames", "written to the peer's endpoint")                                \
  X(tx_bytes, other, "bytes", "of those, Ethernet header included")                             \
  X(tx_coalesced, other, "frames", "of those, written as one with the frame before them")       \
  X(rx_no_buffer, other, "times",                                                               \
    "reading paused until a landing buffer came home; loses no frame")                          \
  X(parked, other, "frames", "moved to a chunk while waiting, to free the landing buffer")      \
  X(waited_for_control, other, "times",                                                         \
    "reading paused until a device's state was looked at again; loses no frame")

/// One direction of one pair, as one worker has counted it.
///
/// Threads  plain integers of the worker that owns them; others read snapshots.
struct Counters {
#define X(name, kind, unit, help) std::uint64_t name = 0;
  VETHD_LEDGER(X)
#undef X
};

// What the devices themselves count, outside the sum: before a frame has entered, at the end it is
// sent from (sender), or after it has left (receiver). xsk_: XDP_STATISTICS of AF_XDP sockets.
#define VETHD_DEVICE(X)                                                                         \
  X(tap_ring_dropped, sender, "frames", "before rx: the sender's own ring was full")            \
  X(xsk_rx_dropped, sender, "frames", "before rx: too long for a chunk, or no chunk was there") \
  X(xsk_rx_ring_full, sender, "frames", "before rx: the rx ring was full")                      \
  X(xsk_rx_fill_ring_empty, sender, "times", "the device found no chunk in the fill ring")      \
  X(xsk_rx_invalid_descs, sender, "descriptors", "in the fill ring, and not valid")             \
  X(xsk_tx_invalid_descs, receiver, "descriptors", "after tx: in the tx ring, and not valid")   \
  X(xsk_tx_ring_empty, receiver, "times", "the device found nothing to send in the tx ring")

/// Of one end.
struct DeviceCounters {
#define X(name, end, unit, help) std::uint64_t name = 0;
  VETHD_DEVICE(X)
#undef X
};

// Where a frame that has entered and not left can be, as the snapshot counts it.
#define VETHD_IN_FLIGHT(X)                                            \
  X(napi_ring, "waits in the ring of a receive queue")                \
  X(gro_hold, "waits in GRO for more of its flow")                    \
  X(input_pkt_queue, "waits in a CPU's backlog")                      \
  X(process_queue, "claimed by a poll that has not delivered it yet") \
  X(handover, "on its way to another CPU's backlog")                  \
  X(transmit, "delivered, not yet given to the endpoint")             \
  X(outbound, "delivered, on its way to the endpoint's worker")       \
  X(pending_write, "given to the endpoint, not yet written")

struct InFlight {
#define X(name, help) std::uint64_t name = 0;
  VETHD_IN_FLIGHT(X)
#undef X
};

// /proc/net/softnet_stat's columns by name, per emulated CPU of a machine.
#define VETHD_SOFTNET(X)                                                                  \
  X(processed, "frames", "delivered by process_backlog, or by a NAPI poll without RPS")   \
  X(dropped, "frames", "refused by this CPU's backlog")                                   \
  X(time_squeeze, "rounds", "net_rx_action ended with work left: budget or time used up") \
  X(received_rps, "wake-ups", "another CPU enqueued here and woke this one")              \
  X(flow_limit_count, "frames", "refused by this CPU's flow limit as long as it is on")   \
  X(input_qlen, "frames", "in input_pkt_queue now, or on their way to it")                \
  X(process_qlen, "frames", "in process_queue now")                                       \
  X(softirqs, "runs", "of net_rx_action")                                                 \
  X(ksoftirqd_wakeups, "times", "work was left after 10 runs or 2 ms")

struct SoftnetCounters {
#define X(name, unit, help) std::uint64_t name = 0;
  VETHD_SOFTNET(X)
#undef X
};

// A receive queue that polls, as ethtool -S shows it. Despite their names the first two count every
// frame taken from the ring, XDP or not; bytes without the Ethernet header, already pulled.
#define VETHD_RQ(X)                               \
  X(xdp_packets, "frames", "taken from the ring") \
  X(xdp_bytes, "bytes", "of those, without Ethernet header and outer VLAN tag")

struct RqCounters {
#define X(name, unit, help) std::uint64_t name = 0;
  VETHD_RQ(X)
#undef X
};

// What a worker itself does, per emulated CPU.
#define VETHD_WORKER(X)                                                \
  X(rounds, "rounds", "of the worker's loop")                          \
  X(wakes, "times", "woken by another worker or by control")           \
  X(sleeps, "times", "waited in the kernel for something to happen")   \
  X(busy_polls, "times", "looked on before sleeping: busy_poll_usecs") \
  X(busy_poll_hits, "times", "of those, something came")               \
  X(frames_free, "frames", "in the pool now")                          \
  X(chunks_free, "chunks", "in the pool now")

struct WorkerCounters {
#define X(name, unit, help) std::uint64_t name = 0;
  VETHD_WORKER(X)
#undef X
};

enum class RowKind : std::uint8_t { entered, left, drop, other };
enum class RowEnd : std::uint8_t { sender, receiver };

template <class Visit>  // visit(name, kind, unit, help, value)
void for_each_counter(const Counters& counters, Visit&& visit) {
#define X(name, kind, unit, help)                                                               \
  visit(std::string_view{#name}, RowKind::kind, std::string_view{unit}, std::string_view{help}, \
        counters.name);
  VETHD_LEDGER(X)
#undef X
}

/// Those of one direction. visit(name, unit, help, value)
template <class Visit>
void for_each_device_counter(const DeviceCounters& sender, const DeviceCounters& receiver,
                             Visit&& visit) {
#define X(name, end, unit, help)                                                 \
  visit(std::string_view{#name}, std::string_view{unit}, std::string_view{help}, \
        (RowEnd::end == RowEnd::sender ? sender : receiver).name);
  VETHD_DEVICE(X)
#undef X
}

template <class Visit>  // visit(name, help, value)
void for_each_in_flight(const InFlight& in_flight, Visit&& visit) {
#define X(name, help) visit(std::string_view{#name}, std::string_view{help}, in_flight.name);
  VETHD_IN_FLIGHT(X)
#undef X
}

template <class Visit>  // visit(name, unit, help, value)
void for_each_softnet(const SoftnetCounters& softnet, Visit&& visit) {
#define X(name, unit, help) \
  visit(std::string_view{#name}, std::string_view{unit}, std::string_view{help}, softnet.name);
  VETHD_SOFTNET(X)
#undef X
}

template <class Visit>  // visit(name, unit, help, value)
void for_each_worker_counter(const WorkerCounters& worker, Visit&& visit) {
#define X(name, unit, help) \
  visit(std::string_view{#name}, std::string_view{unit}, std::string_view{help}, worker.name);
  VETHD_WORKER(X)
#undef X
}

/// Adds what another worker counted of the same thing.
inline Counters& operator+=(Counters& sum, const Counters& part) {
#define X(name, kind, unit, help) sum.name += part.name;
  VETHD_LEDGER(X)
#undef X
  return sum;
}

inline RqCounters& operator+=(RqCounters& sum, const RqCounters& part) {
#define X(name, unit, help) sum.name += part.name;
  VETHD_RQ(X)
#undef X
  return sum;
}

inline InFlight& operator+=(InFlight& sum, const InFlight& part) {
#define X(name, help) sum.name += part.name;
  VETHD_IN_FLIGHT(X)
#undef X
  return sum;
}

inline std::uint64_t total(const InFlight& in_flight) {
  std::uint64_t sum = 0;
  for_each_in_flight(in_flight, [&](auto, auto, std::uint64_t value) { sum += value; });
  return sum;
}

/// The ledger: whether every frame that entered is accounted for.
inline bool balanced(const Counters& counters, const InFlight& in_flight) {
  std::uint64_t entered = 0;
  std::uint64_t accounted = total(in_flight);
  for_each_counter(counters, [&](auto, RowKind kind, auto, auto, std::uint64_t value) {
    if (kind == RowKind::entered) entered += value;
    if (kind == RowKind::left || kind == RowKind::drop) accounted += value;
  });
  return entered == accounted;
}

}  // namespace vethd

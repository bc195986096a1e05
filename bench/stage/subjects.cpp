#include <benchmark/benchmark.h>

#include <optional>

#include "bench/stage/subject.hpp"
#include "daemon/core/panic.hpp"
#include "daemon/pipeline/coalesce.hpp"
#include "daemon/pipeline/eth.hpp"
#include "daemon/pipeline/forward.hpp"
#include "daemon/pipeline/gro.hpp"
#include "daemon/pipeline/protocols.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/pipeline/scrub.hpp"
#include "daemon/pipeline/segment.hpp"
#include "daemon/pipeline/veth.hpp"

namespace vethd::bench {
namespace {

using test::Packet;
using test::Spec;

/// Small frames, each of another flow.
std::vector<Packet> small_frames(std::size_t count = kBatch) {
  std::vector<Packet> packets;
  Spec spec = small_frame();
  for (std::size_t i = 0; i < count; ++i) {
    packets.push_back(test::build(spec));
    ++spec.source_port;
  }
  return packets;
}

/// Frames of one flow, one after the other, as long as the mtu allows.
std::vector<Packet> stream(bool tcp) {
  std::vector<Packet> packets;
  Spec spec = small_frame();
  spec.tcp = tcp;
  spec.payload = tcp ? 1460 : 1472;
  for (std::size_t i = 0; i < kBatch; ++i) {
    packets.push_back(test::build(spec));
    spec = test::following(spec);
  }
  return packets;
}

// --- a loop over the frames -------------------------------------------------------------------

/// A subject that does `Each` to each frame.
template <class Each>
class PerFrame final : public Subject {
 public:
  PerFrame() : Subject(small_frames(), Each::kCpus) { Each::adapt(path_); }
  void run() override {
    for (Frame* const frame : batch_) Each::run(path_, *frame, bytes_of(*frame));
  }
};

struct OneCpu {
  static constexpr std::size_t kCpus = 1;
  static void adapt(Path& /*path*/) {}
};

struct Loop : OneCpu {
  static void run(Path& /*path*/, Frame& frame, const std::byte* data) {
    benchmark::DoNotOptimize(&frame);
    benchmark::DoNotOptimize(data);
  }
};

struct Forwardable : OneCpu {
  static void run(Path& path, Frame& frame, const std::byte* data) {
    bool forwardable = is_skb_forwardable(path.peer, frame, data);
    benchmark::DoNotOptimize(forwardable);
  }
};

struct Scrub : OneCpu {
  static void run(Path& path, Frame& frame, const std::byte* /*data*/) {
    scrub(kRules618, path, frame.meta);
    benchmark::ClobberMemory();
  }
};

struct EthTypeTrans : OneCpu {
  static void run(Path& path, Frame& frame, const std::byte* data) {
    eth_type_trans(kRules618, frame, data, path.peer);
    benchmark::ClobberMemory();
  }
};

struct PostpullRcsum : OneCpu {
  static void run(Path& /*path*/, Frame& frame, const std::byte* /*data*/) {
    skb_postpull_rcsum(frame.meta);
    benchmark::ClobberMemory();
  }
};

struct RpsOff : OneCpu {
  static void run(Path& path, Frame& /*frame*/, const std::byte* /*data*/) {
    bool chooses = has_rps(path);
    benchmark::DoNotOptimize(chooses);
  }
};

struct RpsMap {
  static constexpr std::size_t kCpus = 4;
  static void adapt(Path& path) {
    std::vector<CpuId>& cpus = path.peer.rps_cpus.emplace_back();
    for (std::uint32_t cpu = 0; cpu < kCpus; ++cpu) cpus.push_back({cpu});
  }
  static void run(Path& path, Frame& frame, const std::byte* data) {
    RpsChoice choice = get_rps_cpu(path, frame, data);
    benchmark::DoNotOptimize(choice);
  }
};

/// Both halves: the sender's side is recorded, the receiver's looked up.
class Rfs final : public Subject {
 public:
  static constexpr std::uint32_t kFlows = 4096;

  Rfs() : Subject(small_frames(), RpsMap::kCpus, {.rps_sock_flow_entries = kFlows}) {
    path_.peer.rps_flow_cnt = kFlows;
    path_.rps_flow_tables.emplace_back(kFlows);
    back_.id = reverse_of(path_.id);
    back_.softnet = &softnet_;
  }
  void run() override {
    for (Frame* const frame : batch_) {
      sock_rps_record_flow(path_, *frame, bytes_of(*frame));
      RpsChoice choice = get_rps_cpu(path_, *frame, bytes_of(*frame));
      benchmark::DoNotOptimize(choice);
    }
  }

 private:
  void arrange() override {  // the flows' other directions have been seen here
    for (Frame* const frame : batch_) {
      sock_rps_record_flow(back_, *frame, bytes_of(*frame));
      frame->meta.hash = 0;
    }
  }

  Path back_;
};

// --- the backlog ------------------------------------------------------------------------------

class EnqueueToBacklog : public Subject {
 public:
  EnqueueToBacklog() : Subject(small_frames()) {}
  void run() override {
    for (Frame* const frame : batch_) enqueue(*frame);
  }

 protected:
  EnqueueToBacklog(std::size_t frames, const Sysctls& sysctls)
      : Subject(small_frames(frames), 1, sysctls) {}
  void enqueue(Frame& frame) {
    const auto result = softnet_.enqueue_to_backlog(frame, bytes_of(frame), path_.peer);
    invariant(result == SoftnetData::Enqueue::queued, "the backlog has room for a batch");
  }
};

/// Onto a queue so long that skb_flow_limit() looks at each flow.
class FlowLimited final : public EnqueueToBacklog {
 public:
  FlowLimited()
      : EnqueueToBacklog(kLong + kBatch,
                         {.netdev_max_backlog = 2 * kLong, .flow_limit_cpu_bitmap = {CpuId{0}}}) {}
  void run() override {
    for (std::size_t i = kLong; i < batch_.size(); ++i) enqueue(*batch_[i]);
  }

 private:
  static constexpr int kLong = 500;
  void arrange() override {
    for (std::size_t i = 0; i < kLong; ++i) enqueue(*batch_[i]);
  }
};

class ProcessBacklog final : public EnqueueToBacklog {
 public:
  void run() override { softnet_.do_softirq(context_); }

 private:
  void arrange() override { EnqueueToBacklog::run(); }
};

/// As many runs as a batch has frames, each polling what has nothing to deliver.
class NetRxAction final : public Subject {
 public:
  NetRxAction() : Subject(small_frames()) {}
  void run() override {
    for (std::size_t i = 0; i < kBatch; ++i) {
      idle_.schedule_prep();
      softnet_.napi_schedule(idle_);
      softnet_.do_softirq(context_);
    }
  }

 private:
  struct Idle final : Napi {
    std::int32_t poll(std::int32_t /*quota*/, RxContext& /*context*/) override {
      clear_sched();
      return 0;
    }
  };
  Idle idle_;
};

// --- NAPI, GRO, segmentation ------------------------------------------------------------------

/// veth_xdp_rx() and __veth_xdp_flush(): into the ring.
class NapiRing : public Subject {
 public:
  NapiRing() : Subject(small_frames()) {
    path_.peer.has_xdp = true;
    path_.rq.push_back(
        std::make_unique<VethRq>(path_, machine_.rules, QueueId{0}, frames_.arena()));
  }
  void run() override {
    VethRq& rq = *path_.rq.front();
    for (Frame* const frame : batch_) {
      invariant(rq.put(*frame), "the ring has room for a batch");
      if (rq.kick()) softnet_.napi_schedule(rq);
    }
  }
};

class VethPoll final : public NapiRing {
 public:
  void run() override { softnet_.do_softirq(context_); }

 private:
  void arrange() override { NapiRing::run(); }
};

template <bool tcp>
class GroMerge final : public Subject {
 public:
  GroMerge() : Subject(stream(tcp)), gro_(frames_.arena(), machine_.rules.gro) {}
  void run() override {
    for (Frame* const frame : batch_)
      gro_.receive(*frame, {.udp_forwarding = true}, /*jiffy=*/0, delivered_);
    gro_.flush(delivered_);
  }

 private:
  Gro gro_;
};

/// What leaves to be written: of one flow, all of it one write; each of another flow, none to
/// merge.
template <bool one_flow>
class Coalesce final : public Subject {
 public:
  Coalesce() : Subject(one_flow ? small_stream() : small_frames()) {
    sender_.coalesce = Merge::tcp_and_udp;
    receiver_.takes_merged = Merge::tcp_and_udp;
  }
  void run() override {
    for (Frame* const frame : batch_) delivered_.push(*frame);
    coalesce(delivered_, sender_, receiver_, frames_.arena());
  }

 private:
  static std::vector<Packet> small_stream() {
    std::vector<Packet> packets;
    Spec spec = small_frame();
    for (std::size_t i = 0; i < kBatch; ++i) {
      packets.push_back(test::build(spec));
      spec = test::following(spec);
    }
    return packets;
  }

  Device sender_;
  Device receiver_;
};

/// A TCP super-frame into as many segments as a batch has frames.
class Segment final : public Subject {
 public:
  Segment() : Subject(super_frame()) {}
  void run() override {
    auto segmenter = Segmenter::of(*batch_.front(), frames_.arena(), Ipv4Ids::incrementing);
    invariant(segmenter.has_value(), "the super-frame can be split");
    std::size_t segments = 0;
    for (; !segmenter->done(); ++segments)
      segmenter->write(frames_.arena().bytes_of(*into_[segments]));
    invariant(segments == kBatch, "a batch of segments");
  }

 private:
  static constexpr std::uint16_t kSegmentBytes = 1000;  // 64 of them are a frame of 64054 bytes
  static std::vector<Packet> super_frame() {
    Spec spec = small_frame();
    spec.tcp = true;
    spec.payload = kBatch * kSegmentBytes;
    Packet packet = test::build(spec);
    packet.meta.gso_type = kGsoTcpv4;
    packet.meta.gso_size = kSegmentBytes;
    std::vector<Packet> packets(1, std::move(packet));
    packets.resize(1 + kBatch, test::build(small_frame()));
    return packets;
  }
  void arrange() override { std::copy(batch_.begin() + 1, batch_.end(), into_.begin()); }

  std::array<Frame*, kBatch> into_{};
};

// --- more than one stage ----------------------------------------------------------------------

class VethXmit : public Subject {
 public:
  VethXmit() : Subject(small_frames()) {}
  void run() override {
    for (Frame* const frame : batch_) xmit(*frame);
  }

 protected:
  void xmit(Frame& frame) {
    const Xmit sent = veth_xmit(path_, frame, bytes_of(frame), *this);
    invariant(sent == Xmit::queued, "no frame of a batch is refused");
  }
};

/// All stages, for a burst: arrival = "burst".
class BurstPath final : public VethXmit {
 public:
  void run() override {
    VethXmit::run();
    softnet_.do_softirq(context_);
  }
};

/// arrival = "inline": a softirq after each frame.
class InlinePath final : public VethXmit {
 public:
  void run() override {
    for (Frame* const frame : batch_) {
      xmit(*frame);
      softnet_.do_softirq(context_);
    }
  }
};

/// A burst as the worker sends it, from the list that it was read into to the one that is written.
class PathOfLists final : public VethXmit {
 public:
  void run() override {
    veth_xmit_list(path_, received_, frames_.arena(), *this);
    softnet_.do_softirq(context_);
    delivered_.drain([](Frame& frame) { benchmark::DoNotOptimize(&frame); });
  }

 private:
  void arrange() override {
    for (Frame* const frame : batch_) received_.push(*frame);
  }
  FrameList received_{Holder::endpoint};
};

template <class T>
std::unique_ptr<Subject> make() {
  return std::make_unique<T>();
}

}  // namespace

const std::array<Entry, kSubjects>& subjects() {
  static constexpr std::array<Entry, kSubjects> kAll = {{
      {"loop", true, make<PerFrame<Loop>>},
      {"is_skb_forwardable", true, make<PerFrame<Forwardable>>},
      {"skb_scrub_packet", true, make<PerFrame<Scrub>>},
      {"eth_type_trans", true, make<PerFrame<EthTypeTrans>>},
      {"skb_postpull_rcsum", true, make<PerFrame<PostpullRcsum>>},
      {"get_rps_cpu/off", true, make<PerFrame<RpsOff>>},
      {"get_rps_cpu/map", true, make<PerFrame<RpsMap>>},
      {"get_rps_cpu/rfs", true, make<Rfs>},
      {"enqueue_to_backlog", true, make<EnqueueToBacklog>},
      {"enqueue_to_backlog/skb_flow_limit", true, make<FlowLimited>},
      {"veth_xmit", true, make<VethXmit>},
      {"net_rx_action", false, make<NetRxAction>},
      {"process_backlog", false, make<ProcessBacklog>},
      {"veth_xdp_rx", true, make<NapiRing>},
      {"veth_poll", false, make<VethPoll>},
      {"gro/tcp", false, make<GroMerge<true>>},
      {"gro/udp", false, make<GroMerge<false>>},
      {"segment/tcp", false, make<Segment>},
      {"coalesce/one flow", false, make<Coalesce<true>>},
      {"coalesce/flows", false, make<Coalesce<false>>},
      {"path", true, make<BurstPath>},
      {"path/inline", true, make<InlinePath>},
      {"path/lists", false, make<PathOfLists>},
  }};
  return kAll;
}

}  // namespace vethd::bench

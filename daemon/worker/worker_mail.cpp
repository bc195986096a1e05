// What a worker does for control between rounds: pairs come, change and go, and the ledger is cut.
#include <algorithm>
#include <array>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/pipeline/rps.hpp"
#include "daemon/worker/worker.hpp"

namespace vethd {

void Worker::take_mail() {
  for (std::size_t i = 0; i < kMailboxMails; ++i) {
    const auto mail = mailbox_.pop();
    if (!mail) return;
    std::visit([&](const auto& what) { handle(what, (*mail)->serial); }, (*mail)->what);
  }
}

void Worker::answer(std::uint64_t serial, Result<void> result) {
  control_.answer({.worker = cpu_, .serial = serial, .result = std::move(result), .snapshot = {}});
}

void Worker::handle(const AddPair& mail, std::uint64_t serial) {
  const std::size_t pair = mail.pair.value;
  if (ports_.size() <= pair) {
    ports_.resize(pair + 1);
    paths_.resize(2 * (pair + 1));
  }
  ports_[pair] = {};
  SoftnetData& softnet = *softnets_[mail.machine.value];
  make_path(path_from(mail.pair, Side::a), mail.a, mail.b, softnet);
  make_path(path_from(mail.pair, Side::b), mail.b, mail.a, softnet);
  for (const EndpointSetup& setup : mail.endpoints) {
    const std::size_t side = index_of(entry_of(setup.path));
    ports_[pair].sides[side].shared = setup.shared;
    PortQueue queue{.endpoint = nullptr, .owner = setup.owner};
    if (setup.shared || setup.reads) {
      auto endpoint = io_.attach(setup);
      if (!endpoint) return answer(serial, pass(std::move(endpoint)));
      queue.endpoint = *endpoint;
    }
    ports_[pair].sides[side].queues.push_back(queue);
  }
  for (const Side from : {Side::a, Side::b}) {
    Path& path = *paths_[path_from(mail.pair, from).value];
    fit_queues(path);
    // What comes from a wire waits for nobody.
    path.can_ask = mail.can_ask && !path.dev.plain_frames;
  }
  answer(serial);
}

void Worker::make_path(PathId id, const Device& dev, const Device& peer, SoftnetData& softnet) {
  auto path = std::make_unique<Path>();
  path->id = id;
  path->dev = dev;
  path->peer = peer;
  path->softnet = &softnet;
  paths_[id.value] = std::move(path);
}

/// Makes what the receiver's settings ask for: queues that poll, flow tables. Once made, a queue
/// stays, as its statistics do.
void Worker::fit_queues(Path& path) {
  const std::size_t queues = path.peer.real_num_rx_queues;
  // Queue i of both ends is this worker's, or neither.
  const auto& sources = ports_[pair_of(path.id).value].sides[index_of(entry_of(path.id))].queues;
  if (path.peer.rps_flow_cnt == 0) {
    path.rps_flow_tables.clear();
  } else {
    // Tables of the queues that frames from this worker's queues are recorded for: get_rps_cpu().
    path.rps_flow_tables.resize(queues);
    const Rules& rules = path.softnet->machine().rules;
    for (std::uint32_t i = 0; i < sources.size(); ++i) {
      const std::uint32_t rxq = rx_queue_of(rules, path.peer, i);
      if (sources[i].owner != cpu_ || rxq >= queues) continue;
      if (path.rps_flow_tables[rxq].size() != path.peer.rps_flow_cnt)
        path.rps_flow_tables[rxq].assign(path.peer.rps_flow_cnt, {});
    }
  }
  if (!napi_enabled(path.softnet->machine().rules, path.peer)) return;
  path.rq.resize(queues);
  for (std::size_t i = 0; i < std::min(queues, sources.size()); ++i) {
    if (sources[i].owner != cpu_ || path.rq[i] != nullptr) continue;
    const QueueId queue{static_cast<std::uint16_t>(i)};
    path.rq[i] =
        std::make_unique<VethRq>(path, path.softnet->machine().rules, queue, pool_.arena());
    polling_.push_back(path.rq[i].get());
  }
}

void Worker::end_napi(Path& path, std::uint64_t Counters::* reason) {
  for (const auto& rq : path.rq) {
    if (rq == nullptr) continue;
    rq->purge([&](Frame& frame) {
      ++(path.counters.*reason);
      release(frame);
    });
    path.softnet->napi_forget(*rq);
    if (rq->disable()) wake_queue(path.id, rq->queue());
  }
}

void Worker::handle(const SetDevice& mail, std::uint64_t serial) {
  paths_[path_from(mail.pair, mail.side).value]->dev = mail.device;
  // News makes answers old.
  for (PortSide& side : ports_[mail.pair.value].sides) side.answer_holds_until = {};
  Path& path = *paths_[path_from(mail.pair, peer_of(mail.side)).value];
  path.peer = mail.device;
  if (!napi_enabled(path.softnet->machine().rules, path.peer))
    end_napi(path, &Counters::drop_napi_disabled);
  fit_queues(path);
  answer(serial);
}

void Worker::handle(const Looked& mail, std::uint64_t serial) {
  ports_[mail.pair.value].sides[index_of(mail.side)].answer_holds_until =
      clock_.now() + kAnswerHolds;
  wake_asking(path_from(mail.pair, mail.side));
  answer(serial);
}

void Worker::handle(const SetSysctls& mail, std::uint64_t serial) {
  softnets_[mail.machine.value]->set(mail.sysctls, mail.sock_flow_table);
  answer(serial);
}

void Worker::handle(const StopReading& mail, std::uint64_t serial) {
  for (const Side from : {Side::a, Side::b})
    paths_[path_from(mail.pair, from).value]->can_ask = false;
  ports_[mail.pair.value].for_each_endpoint([this](Endpoint& endpoint) {
    io_.stop_reading(endpoint);
    // What has arrived goes on, even into a ring that is full.
    const auto gone = std::erase_if(
        stopped_queues_, [&](const StoppedQueue& stopped) { return stopped.source == &endpoint; });
    if (gone != 0) woken_queues_.push_back(&endpoint);
  });
  removals_.push_back({.pair = mail.pair, .serial = serial, .whole = false});
}

void Worker::handle(const RemovePair& mail, std::uint64_t serial) {
  purge(mail.pair);
  removals_.push_back({.pair = mail.pair, .serial = serial, .whole = true});
}

/// What only the owner may write to may still get frames: from workers that have not heard of the
/// removal.
void Worker::handle(const ForgetPair& mail, std::uint64_t serial) {
  empty_handover_lanes();
  delivered_.take_if([&](const Frame& frame) { return pair_of(frame.path) == mail.pair; },
                     [this](Frame& frame) { drop_removed(frame); });
  ports_[mail.pair.value].for_each_endpoint([this](Endpoint& endpoint) {
    std::erase(woken_queues_, &endpoint);
    io_.detach(endpoint);
  });
  ports_[mail.pair.value] = {};
  answer(serial);
}

/// What is there now; when nobody reads or polls for a pair any more, all there is of it.
void Worker::empty_handover_lanes() {
  for (std::uint32_t other = 0; other < exchange_.workers(); ++other)
    while (other != cpu_.value && !exchange_.handover({other}, cpu_).empty()) take_handover();
}

void Worker::drop_removed(Frame& frame) {
  ++paths_[frame.path.value]->counters.drop_removed;
  release(frame);
}

void Worker::purge(PairId pair) {
  empty_handover_lanes();
  const auto ours = [pair](const Frame& frame) { return pair_of(frame.path) == pair; };
  for (SoftnetData* sd : softnets_) sd->purge(ours, [this](Frame& frame) { drop_removed(frame); });
  for (const Side from : {Side::a, Side::b}) {
    Path& path = *paths_[path_from(pair, from).value];
    end_napi(path, &Counters::drop_removed);
    for (const auto& rq : path.rq) std::erase(polling_, rq.get());
    path.rq.clear();
    path.rps_flow_tables.clear();
  }
}

/// Whether a receive queue of the pair still has frames, which RPS may send to other workers.
bool Worker::polls_something(PairId pair) const {
  return std::ranges::any_of(std::array{Side::a, Side::b}, [&](Side from) {
    const auto& rqs = paths_[path_from(pair, from).value]->rq;
    return std::ranges::any_of(rqs, [](const auto& rq) { return rq && rq->is_scheduled(); });
  });
}

void Worker::finish_removals() {
  std::erase_if(removals_, [this](const Removal& removal) {
    const Port& port = ports_[removal.pair.value];
    bool quiet = removal.whole || !polls_something(removal.pair);
    port.for_each_endpoint([&](Endpoint& endpoint) { quiet = quiet && io_.is_quiet(endpoint); });
    io_.for_each_pending([&](const Frame& frame) {
      // A socket's rings may never move again; what is in them comes back when it is closed.
      const std::size_t to = index_of(peer_of(entry_of(frame.path)));
      if (removal.whole && pair_of(frame.path) == removal.pair && port.sides[to].shared)
        quiet = false;
    });
    if (!quiet) return false;
    if (removal.whole)
      port.for_each_endpoint([this](Endpoint& endpoint) { io_.abandon(endpoint); });
    answer(removal.serial);
    return true;
  });
}

void Worker::handle(const TakeSnapshot& /*mail*/, std::uint64_t serial) {
  if (!cut_) begin_cut();
  cut_->serial = serial;
  end_cut();
}

void Worker::handle(const Stop& /*mail*/, std::uint64_t serial) {
  stopped_ = true;
  answer(serial);
}

void Worker::begin_cut() {
  auto share = std::make_shared<WorkerSnapshot>();
  share->paths.resize(paths_.size());
  for (std::size_t i = 0; i < paths_.size(); ++i) {
    if (paths_[i] == nullptr) continue;
    WorkerSnapshot::Direction& direction = share->paths[i];
    direction.counters = paths_[i]->counters;
    for (const auto& rq : paths_[i]->rq) {
      direction.rq.emplace_back();
      if (rq == nullptr) continue;
      direction.rq.back() = rq->counters();
      rq->for_each_in_ring([&](const Frame&) { ++direction.in_flight.napi_ring; });
      rq->for_each_in_gro([&](const Frame&) { ++direction.in_flight.gro_hold; });
    }
  }
  const auto at = [&](const Frame& frame) -> InFlight& {
    return share->paths[frame.path.value].in_flight;
  };
  for (SoftnetData* sd : softnets_) {
    sd->input_pkt_queue().for_each([&](const Frame& frame) { ++at(frame).input_pkt_queue; });
    sd->process_queue().for_each([&](const Frame& frame) { ++at(frame).process_queue; });
    share->machines.push_back(sd->counters());
  }
  delivered_.for_each([&](const Frame& frame) { ++at(frame).transmit; });
  const auto in_write = [&](const Frame& frame) { at(frame).pending_write += frame.frames(); };
  io_.for_each_pending(in_write);
  io_.written().for_each(in_write);
  share->worker = counters_;
  share->worker.frames_free = pool_.free_frames();
  share->worker.chunks_free = pool_.free_chunks();

  cut_.emplace();
  cut_->share = std::move(share);
  cut_->marker_missing.assign(exchange_.workers(), true);
  cut_->marker_missing[cpu_.value] = false;
  cut_->missing = exchange_.workers() - 1;
  for (std::uint32_t other = 0; other < exchange_.workers(); ++other) {
    if (other == cpu_.value) continue;
    invariant(exchange_.handover(cpu_, {other}).push(&markers_[other]),
              "a lane has room for a marker");
    io_.wake({other});
  }
}

void Worker::take_marker(CpuId source) {
  if (!cut_) begin_cut();
  invariant(cut_->marker_missing[source.value], "one marker per lane and snapshot");
  cut_->marker_missing[source.value] = false;
  --cut_->missing;
  end_cut();
}

void Worker::end_cut() {
  if (!cut_->serial || cut_->missing != 0) return;
  control_.answer({.worker = cpu_, .serial = *cut_->serial, .result = {}, .snapshot = cut_->share});
  cut_.reset();
}

}  // namespace vethd

// What a worker does for control between rounds: pairs come, change and go, and the ledger is cut.
#include <algorithm>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/worker/worker.hpp"

namespace vethd {
namespace {

constexpr std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }

}  // namespace

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
  SoftnetData* const softnet = softnets_[mail.machine.value];
  paths_[path_from(mail.pair, Side::a).value] = {mail.a, mail.b, softnet, {}};
  paths_[path_from(mail.pair, Side::b).value] = {mail.b, mail.a, softnet, {}};
  ports_[pair] = {};
  for (const EndpointSetup& setup : mail.endpoints) {
    auto endpoint = io_.attach(setup);
    if (!endpoint) return answer(serial, pass(std::move(endpoint)));
    ports_[pair].queues[index_of(entry_of(setup.path))].push_back(*endpoint);
  }
  answer(serial);
}

void Worker::handle(const SetDevice& mail, std::uint64_t serial) {
  paths_[path_from(mail.pair, mail.side).value].dev = mail.device;
  paths_[path_from(mail.pair, peer_of(mail.side)).value].peer = mail.device;
  answer(serial);
}

void Worker::handle(const StopReading& mail, std::uint64_t serial) {
  for (auto& queues : ports_[mail.pair.value].queues)
    for (Endpoint* endpoint : queues) io_.stop_reading(*endpoint);
  removals_.push_back({.pair = mail.pair, .serial = serial, .whole = false});
}

void Worker::handle(const RemovePair& mail, std::uint64_t serial) {
  purge(mail.pair);
  removals_.push_back({.pair = mail.pair, .serial = serial, .whole = true});
}

void Worker::purge(PairId pair) {
  // Nobody reads for this pair any more, so what is in the hand-over queues now is all there is.
  for (std::uint32_t other = 0; other < exchange_.workers(); ++other)
    while (other != cpu_.value && !exchange_.handover({other}, cpu_).empty()) take_handover();
  const auto ours = [pair](const Frame& frame) { return pair_of(frame.path) == pair; };
  const auto drop = [this](Frame& frame) {
    ++paths_[frame.path.value].counters.drop_removed;
    release(frame);
  };
  for (SoftnetData* sd : softnets_) sd->purge(ours, drop);
}

void Worker::finish_removals() {
  std::erase_if(removals_, [this](const Removal& removal) {
    auto& queues = ports_[removal.pair.value].queues;
    bool quiet = true;
    for (auto& side : queues)
      for (const Endpoint* endpoint : side) quiet = quiet && io_.is_quiet(*endpoint);
    io_.pending().for_each([&](const Frame& frame) {
      if (removal.whole && pair_of(frame.path) == removal.pair) quiet = false;
    });
    if (!quiet) return false;
    if (removal.whole) {
      for (auto& side : queues)
        for (Endpoint* endpoint : side) io_.detach(*endpoint);
      ports_[removal.pair.value] = {};
    }
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
  for (std::size_t i = 0; i < paths_.size(); ++i) share->paths[i].counters = paths_[i].counters;
  const auto at = [&](const Frame& frame) -> InFlight& {
    return share->paths[frame.path.value].in_flight;
  };
  for (SoftnetData* sd : softnets_) {
    sd->input_pkt_queue().for_each([&](const Frame& frame) { ++at(frame).input_pkt_queue; });
    sd->process_queue().for_each([&](const Frame& frame) { ++at(frame).process_queue; });
    share->machines.push_back(sd->counters());
  }
  delivered_.for_each([&](const Frame& frame) { ++at(frame).transmit; });
  io_.pending().for_each([&](const Frame& frame) { ++at(frame).pending_write; });
  io_.written().for_each([&](const Frame& frame) { ++at(frame).pending_write; });
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

#include "tests/sim/simulation.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace vethd::sim {
namespace {

constexpr std::uint32_t kFlowsPerPath = 6;
constexpr std::uint64_t kDrainSteps = 500'000;  // far more than any backlog needs
constexpr std::uint32_t kStallSteps = 60;
constexpr std::size_t kHolders = static_cast<std::size_t>(Holder::marker) + 1;

constexpr std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }

Arena make_arena(const Parameters& parameters) {
  ArenaPlan plan;
  plan.workers = parameters.workers;
  plan.chunks_per_worker = parameters.chunks_per_worker;
  plan.bytes_per_worker = kLandingBuffers * kLandingBytes + plan.chunks_per_worker * kChunkBytes;
  auto arena = Arena::create(plan);
  if (!arena) throw Failure(arena.error().text());
  return std::move(*arena);
}

void mix(std::uint64_t& trace, std::uint64_t value) {
  trace = (trace ^ value) * 0x9e3779b97f4a7c15ULL;
  trace ^= trace >> 29;
}

}  // namespace

Simulation::Simulation(const Parameters& parameters)
    : parameters_(parameters),
      random_(parameters.seed ^ 0x5c4ed01e),
      clock_(parameters.seed, parameters.slow_percent),
      arena_(make_arena(parameters)),
      exchange_(parameters.workers, arena_.plan().frames_per_worker()),
      pairs_(parameters.pairs.size()),
      paths_(2 * parameters.pairs.size()) {
  std::vector<Machine*> machines;
  for (const MachineParameters& machine : parameters_.machines) {
    const MachineId id{static_cast<std::uint32_t>(machines_.size())};
    const HashKey key{random_.next(), random_.next()};
    machines_.push_back(
        std::make_unique<Machine>(MachineSetup{.id = id,
                                               .rules = *machine.rules,
                                               .sysctls = machine.sysctls,
                                               .hash_key = key,
                                               .inline_arrival = machine.inline_arrival,
                                               .hz = machine.hz,
                                               .cpus = parameters_.workers}));
    machines.push_back(machines_.back().get());
  }
  for (std::uint32_t pair = 0; pair < pairs_.size(); ++pair)
    for (const Side side : {Side::a, Side::b}) {
      auto& queues = pairs_[pair].devices[index_of(side)];
      for (std::uint32_t i = 0; i < parameters_.pairs[pair].queues[index_of(side)]; ++i) {
        queues.push_back(devices_.size());
        devices_.emplace_back();
      }
    }
  for (std::uint32_t path = 0; path < paths_.size(); ++path)
    for (std::uint32_t i = 0; i < kFlowsPerPath; ++i)
      paths_[path].flows.push_back({.path = {path}, .id = i});

  std::vector<MemoryIo*> ios;
  for (std::uint32_t cpu = 0; cpu < parameters_.workers; ++cpu) {
    WorkerState& state = workers_.emplace_back();
    MemoryTroubles troubles = parameters_.troubles;
    troubles.seed = random_.next();
    state.pool = std::make_unique<FramePool>(arena_, cpu);
    state.io = std::make_unique<MemoryIo>(*state.pool, devices_, troubles);
    state.mailbox = std::make_unique<Mailbox>(kMailboxMails);
    state.worker = std::make_unique<Worker>(WorkerParts{.cpu = {cpu},
                                                        .clock = clock_,
                                                        .pool = *state.pool,
                                                        .exchange = exchange_,
                                                        .machines = machines,
                                                        .io = *state.io,
                                                        .mailbox = *state.mailbox,
                                                        .control = *this});
    ios.push_back(state.io.get());
  }
  for (const WorkerState& state : workers_) state.io->set_peers(ios);
}

Outcome Simulation::run() {
  for (std::uint32_t pair = 0; pair < pairs_.size(); ++pair) {
    add_pair(pair);
    drain();
  }
  for (step_ = 0; step_ < parameters_.steps; ++step_) step();
  for (const auto& device : devices_)
    if (device) device->stall(false);
  for (const WorkerState& state : workers_) state.io->be_kind();
  drain();
  check_end();
  return outcome_;
}

void Simulation::step() {
  if (random_.percent(parameters_.send_percent)) send_burst();
  if (random_.percent(parameters_.stall_percent)) stall_something();
  if (!change_.active && random_.percent(parameters_.change_percent)) change_something();
  if (!snapshot_.active && random_.percent(3)) take_snapshot();
  run_worker(workers_[random_.below(parameters_.workers)]);
}

void Simulation::run_worker(WorkerState& state) {
  // As in run(): a worker with nothing to do sleeps in wait() until something happens to it.
  if (state.stalled_until > step_) return;
  if (state.asleep && !state.io->has_events()) return;
  state.io->wait(false);
  state.worker->round();
  state.asleep = !state.worker->has_work();
  ++outcome_.rounds;
  mix(outcome_.trace, static_cast<std::uint64_t>(&state - workers_.data()));
  check_frames();
}

void Simulation::drain() {
  for (WorkerState& state : workers_) state.stalled_until = 0;
  for (std::uint64_t i = 0; i < kDrainSteps; ++i) {
    const bool idle = std::ranges::none_of(
        workers_, [](const WorkerState& state) { return !state.asleep || state.io->has_events(); });
    if (idle) {
      check(!change_.active && !snapshot_.active, "control gets all its answers");
      return;
    }
    run_worker(workers_[random_.below(parameters_.workers)]);
  }
  check(false, "the workers come to rest");
}

void Simulation::send_burst() {
  const std::uint32_t path = random_.below(static_cast<std::uint32_t>(paths_.size()));
  const PairState& pair = pairs_[pair_of({path}).value];
  // A device has no carrier until every worker knows the pair.
  if (pair.life == Life::gone || pair.life == Life::adding) return;
  const auto& queues = pair.devices[index_of(entry_of({path}))];
  const std::uint32_t packets = 1 + random_.below(parameters_.burst_packets);
  for (std::uint32_t i = 0; i < packets; ++i) {
    Flow& flow = paths_[path].flows[random_.below(kFlowsPerPath)];
    Shape shape{.frame_bytes = kShortestWithRecord + random_.below(1300),
                .gso = random_.percent(10),
                .checksum_kind = static_cast<std::uint8_t>(random_.below(kChecksumKinds))};
    if (shape.gso) shape.frame_bytes = 1600 + random_.below(63000);
    if (random_.percent(4)) shape.frame_bytes = random_.below(60);        // some without a header
    if (random_.percent(4)) shape.frame_bytes = 1515 + random_.below(8);  // around 1518
    if (shape.frame_bytes < kShortestWithRecord) shape.gso = false;
    MemoryDevice& device = *devices_[queues[flow.id % queues.size()]];
    if (device.send(make_packet(flow, shape))) ++paths_[path].sent;
  }
}

void Simulation::stall_something() {
  if (random_.percent(50)) {
    workers_[random_.below(parameters_.workers)].stalled_until = step_ + random_.below(kStallSteps);
    return;
  }
  const auto& device = devices_[random_.below(static_cast<std::uint32_t>(devices_.size()))];
  if (device) device->stall(!device->is_stalled());
}

int Simulation::receive(PairId pair, Side side, QueueId queue, std::span<const std::byte> packet) {
  const PathId path = path_from(pair, peer_of(side));
  const std::size_t frame_bytes = packet.size() - kVnetBytes;
  VnetHeader header;
  std::memcpy(&header, packet.data(), kVnetBytes);
  check(frame_bytes >= kEthHeaderBytes, "no frame without a whole Ethernet header is delivered");
  check(frame_bytes <= kLargeMtu + kEthHeaderBytes + kVlanBytes || header.gso_type != 0,
        "no frame longer than mtu + 18 is delivered unless it is GSO");
  ++outcome_.delivered;
  ++paths_[path.value].arrived;
  mix(outcome_.trace, path.value);
  mix(outcome_.trace, frame_bytes);
  if (frame_bytes < kShortestWithRecord) return 0;

  const std::optional<Record> record = record_of(packet);
  check(record.has_value(), "a frame arrives with its last bytes");
  check(record->path == path.value, "a frame arrives at the other end of its own pair");
  check(record->frame_bytes == frame_bytes, "a frame arrives as long as it was");
  check(record->checksum == checksum_of(packet), "a frame arrives with the bytes it had");
  check(std::memcmp(&record->arrives, &header, kVnetBytes) == 0,
        "checksum and segmentation are described as they were");
  Flow& flow = paths_[path.value].flows[record->flow];
  check(record->sequence > flow.last_seen, "a flow keeps its order");
  check(!flow.leaves_by || *flow.leaves_by == queue, "a flow leaves by one queue");
  flow.last_seen = record->sequence;
  flow.leaves_by = queue;
  mix(outcome_.trace, record->sequence);
  return 0;
}

// --- Control --------------------------------------------------------------------------------

template <class What>
void Simulation::post(Operation& operation, What&& what_for_worker) {
  operation.serial = ++serial_;
  operation.missing = parameters_.workers;
  operation.active = true;
  for (std::uint32_t cpu = 0; cpu < parameters_.workers; ++cpu) {
    auto mail = std::make_unique<Mail>();
    mail->serial = operation.serial;
    mail->what = what_for_worker(cpu);
    check(workers_[cpu].mailbox->push(std::move(mail)), "the mailbox has room");
    workers_[cpu].io->wake_up();
  }
}

void Simulation::change_something() {
  const std::uint32_t pair = random_.below(static_cast<std::uint32_t>(pairs_.size()));
  switch (pairs_[pair].life) {
    case Life::gone:
      return add_pair(pair);
    case Life::live:
      return random_.percent(70) ? change_device(pair) : stop_pair(pair);
    case Life::stopping:
      return remove_pair(pair);
    case Life::adding:
    case Life::removing:
      return;
  }
}

void Simulation::add_pair(std::uint32_t pair) {
  const PairParameters& drawn = parameters_.pairs[pair];
  PairState& state = pairs_[pair];
  state.life = Life::adding;
  if (snapshot_.active) state.reset_during_snapshot = true;
  for (const Side side : {Side::a, Side::b}) {
    state.ends[index_of(side)] = drawn.ends[index_of(side)];
    const PathId path = path_from({pair}, side);
    paths_[path.value].sent = 0;
    paths_[path.value].arrived = 0;
    std::uint16_t number = 0;
    for (const std::size_t index : state.devices[index_of(side)]) {
      const QueueId queue{number++};
      devices_[index] = std::make_unique<MemoryDevice>(
          [this, pair, side, queue](std::span<const std::byte> packet) {
            return receive({pair}, side, queue, packet);
          });
    }
  }
  change_.pair = pair;
  change_.then = Life::live;
  post(change_, [&](std::uint32_t cpu) {
    AddPair mail{.pair = {pair},
                 .machine = {drawn.machine},
                 .a = state.ends[0],
                 .b = state.ends[1],
                 .endpoints = {}};
    for (const Side side : {Side::a, Side::b}) {
      std::uint16_t number = 0;
      for (const std::size_t index : state.devices[index_of(side)]) {
        mail.endpoints.push_back({.fd = static_cast<int>(index),
                                  .path = path_from({pair}, side),
                                  .queue = {number},
                                  .reads = (pair + number) % parameters_.workers == cpu});
        ++number;
      }
    }
    return mail;
  });
}

void Simulation::change_device(std::uint32_t pair) {
  const Side side = random_.percent(50) ? Side::a : Side::b;
  Device& device = pairs_[pair].ends[index_of(side)];
  switch (random_.below(4)) {
    case 0:
      device.running = !device.running;
      break;
    case 1:
      device.mtu = random_.one_of({kSmallMtu, kLargeMtu});
      break;
    case 2:
      device.gro = !device.gro;
      break;
    default:
      device.has_qdisc = !device.has_qdisc;
      break;
  }
  change_.pair = pair;
  change_.then = Life::live;
  post(change_, [&](std::uint32_t) { return SetDevice{{pair}, side, device}; });
}

void Simulation::stop_pair(std::uint32_t pair) {
  change_.pair = pair;
  change_.then = Life::stopping;
  post(change_, [&](std::uint32_t) { return StopReading{{pair}}; });
}

void Simulation::remove_pair(std::uint32_t pair) {
  pairs_[pair].life = Life::removing;
  change_.pair = pair;
  change_.then = Life::gone;
  post(change_, [&](std::uint32_t) { return RemovePair{{pair}}; });
}

void Simulation::take_snapshot() {
  cut_.assign(paths_.size(), {});
  for (PairState& pair : pairs_)
    pair.reset_during_snapshot = pair.life == Life::adding || pair.life == Life::gone;
  post(snapshot_, [](std::uint32_t) { return TakeSnapshot{}; });
}

void Simulation::answer(MailAnswer answer) {
  check(answer.result.has_value(), "a worker can do what it is asked");
  Operation& operation = answer.serial == snapshot_.serial ? snapshot_ : change_;
  check(operation.active && answer.serial == operation.serial, "an answer belongs to a question");
  if (answer.snapshot)
    for (std::size_t i = 0; i < std::min(cut_.size(), answer.snapshot->paths.size()); ++i) {
      cut_[i].counters += answer.snapshot->paths[i].counters;
      cut_[i].in_flight += answer.snapshot->paths[i].in_flight;
    }
  if (--operation.missing == 0) finish(operation);
}

void Simulation::notice(FailureNotice /*notice*/) { check(false, "every device can be read"); }

void Simulation::finish(Operation& operation) {
  operation.active = false;
  if (&operation == &snapshot_) return check_snapshot();
  pairs_[operation.pair].life = operation.then;
  if (operation.then != Life::gone) return;
  for (const auto& side : pairs_[operation.pair].devices)
    for (const std::size_t index : side) devices_[index].reset();
}

void Simulation::check_snapshot() {
  ++outcome_.snapshots;
  for (std::size_t path = 0; path < cut_.size(); ++path) {
    if (pairs_[path / 2].reset_during_snapshot) continue;
    const auto& [counters, in_flight, rq] = cut_[path];
    check(balanced(counters, in_flight),
          fmt::format("the ledger of path {} balances: rx {} tx {} in flight {}", path,
                      counters.rx_frames, counters.tx_frames, total(in_flight)));
    mix(outcome_.trace, counters.rx_frames);
    mix(outcome_.trace, total(in_flight));
  }
}

// --- What must hold ---------------------------------------------------------------------------

void Simulation::check(bool holds, std::string_view what) const {
  if (!holds) throw Failure(fmt::format("step {}: does not hold: {}", step_, what));
}

void Simulation::check_frames() const {
  const ArenaPlan& plan = arena_.plan();
  std::vector<bool> seen(plan.workers * plan.frames_per_worker());
  std::array<std::uint64_t, kHolders> listed{};
  const auto in_list = [&](Holder holder) {
    return [&, holder](const Frame& frame) {
      const std::size_t id = arena_.id_of(frame).value;
      check(frame.holder == holder, "a frame names the list that holds it");
      check(!seen[id], "a frame is in one list only");
      seen[id] = true;
      ++listed[static_cast<std::size_t>(holder)];
    };
  };
  std::uint64_t on_their_way = 0;
  for (const auto& machine : machines_)
    for (const auto& sd : machine->softnet_data) {
      sd->input_pkt_queue().for_each(in_list(Holder::input_pkt_queue));
      sd->process_queue().for_each(in_list(Holder::process_queue));
      const SoftnetCounters counters = sd->counters();
      check(counters.input_qlen <= static_cast<std::uint64_t>(sd->sysctls().netdev_max_backlog) + 1,
            "a backlog holds netdev_max_backlog + 1 frames at most");
      on_their_way += counters.input_qlen - sd->input_pkt_queue().size();
    }
  for (const WorkerState& state : workers_) {
    state.io->for_each_arrived(in_list(Holder::endpoint));
    state.io->pending().for_each(in_list(Holder::pending_write));
  }

  std::array<std::uint64_t, kHolders> held{};
  for (std::size_t home = 0; home < plan.workers; ++home) {
    const FramePool& pool = *workers_[home].pool;
    std::vector<bool> landings(kLandingBuffers);
    std::vector<bool> chunks(plan.chunks_per_worker);
    const auto take = [&](std::vector<bool>& buffers, std::size_t index) {
      check(index < buffers.size() && !buffers[index], "a buffer has one frame");
      buffers[index] = true;
    };
    for (const FrameAddr start : workers_[home].io->lent())
      take(landings, arena_.landing_index(home, start));
    std::size_t free = 0;
    std::size_t in_landings = 0;
    std::size_t in_chunks = 0;
    for (const Frame& frame : arena_.frames_of(home)) {
      ++held[static_cast<std::size_t>(frame.holder)];
      check(frame.home == home, "a frame keeps its home");
      if (frame.holder == Holder::pool) {
        ++free;
      } else if (frame.buffer == Buffer::landing) {
        take(landings, arena_.landing_index(home, frame.addr));
        ++in_landings;
      } else {
        take(chunks, (frame.addr.value - arena_.chunk(home, 0).value) / kChunkBytes);
        ++in_chunks;
      }
    }
    check(free == pool.free_frames(), "the pool has every free frame");
    check(in_landings == pool.landings_held(), "the pool knows how many landing buffers are held");
    check(in_chunks + pool.free_chunks() == plan.chunks_per_worker, "no chunk is lost");
  }
  for (const Holder holder :
       {Holder::input_pkt_queue, Holder::process_queue, Holder::endpoint, Holder::pending_write})
    check(held[static_cast<std::size_t>(holder)] == listed[static_cast<std::size_t>(holder)],
          "a frame is in the list it names");
  check(held[static_cast<std::size_t>(Holder::handover)] == on_their_way,
        "a frame on its way has its place in the backlog");
  for (const Holder holder :
       {Holder::in_hand, Holder::received, Holder::transmit, Holder::written, Holder::marker})
    check(held[static_cast<std::size_t>(holder)] == 0, "nothing is left in hand after a round");
}

void Simulation::check_end() {
  for (std::uint32_t pair = 0; pair < pairs_.size(); ++pair)
    if (pairs_[pair].life == Life::live)
      for (const auto& side : pairs_[pair].devices)
        for (const std::size_t index : side)
          check(devices_[index]->queued() == 0, "nothing stays unread");

  take_snapshot();
  drain();
  for (std::uint32_t path = 0; path < paths_.size(); ++path) {
    const auto& [counters, in_flight, rq] = cut_[path];
    outcome_.totals += counters;
    if (pairs_[path / 2].life != Life::live) continue;
    check(total(in_flight) == 0, "nothing stays on its way");
    check(counters.rx_frames == paths_[path].sent, "all that was sent has entered");
    check(counters.tx_frames == paths_[path].arrived, "all that left has arrived");
  }

  for (std::uint32_t pair = 0; pair < pairs_.size(); ++pair) {
    if (pairs_[pair].life == Life::live) {
      stop_pair(pair);
      drain();
    }
    if (pairs_[pair].life == Life::stopping) {
      remove_pair(pair);
      drain();
    }
  }
  // Empty frames may still lie on the lanes home: nobody is woken for them unless it starves.
  for (WorkerState& state : workers_) state.asleep = false;
  drain();
  for (const WorkerState& state : workers_)
    check(state.pool->free_frames() == arena_.plan().frames_per_worker(), "every frame comes home");
}

}  // namespace vethd::sim

#include "tests/sim/simulation.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/core.h>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/forward.hpp"

namespace vethd::sim {
namespace {

constexpr std::uint32_t kPlainFlows = 4;   // per path, and
constexpr std::uint32_t kStreamFlows = 6;  // with ids of their own on each path
constexpr std::uint32_t kFlowsPerPath = kPlainFlows + kStreamFlows;
constexpr std::uint64_t kDrainSteps = 500'000;  // far more than any backlog needs
constexpr std::uint32_t kStallSteps = 60;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

Arena make_arena(const Parameters& parameters) {
  ArenaPlan plan;
  plan.workers = parameters.workers;
  plan.chunks_per_worker = parameters.chunks_per_worker;
  plan.bytes_per_worker = kLandingBuffers * kLandingBytes + plan.chunks_per_worker * kChunkBytes;
  auto arena = Arena::create(plan);
  if (!arena) throw Failure(arena.error().text());
  return std::move(*arena);
}

/// What the ledger knows of a path.
std::string text_of(const Counters& counters, const InFlight& in_flight) {
  std::string text;
  for_each_counter(counters, [&](auto name, RowKind kind, auto, auto, std::uint64_t n) {
    if (kind != RowKind::other && n != 0) text += fmt::format(" {}={}", name, n);
  });
  for_each_in_flight(in_flight, [&](auto name, auto, std::uint64_t n) {
    if (n != 0) text += fmt::format(" in_flight.{}={}", name, n);
  });
  return text;
}

void mix(std::uint64_t& trace, std::uint64_t value) {
  trace = (trace ^ value) * 0x9e3779b97f4a7c15ULL;
  trace ^= trace >> 29;
}

}  // namespace

std::string never_met(const Counters& totals) {
  std::string names;
  for_each_counter(totals, [&](std::string_view name, RowKind kind, auto, auto, std::uint64_t n) {
    // The forward check refuses before drop_dev_ready can: unit tests have it.
    const bool reachable = kind != RowKind::other && name != "drop_dev_ready";
    if ((reachable || name == "tx_busy" || name == "tx_coalesced" ||
         name == "waited_for_control") &&
        n == 0)
      (names += name) += ' ';
  });
  return names;
}

Simulation::Simulation(const Parameters& parameters)
    : parameters_(parameters),
      random_(parameters.seed ^ 0x5c4ed01e),
      clock_(parameters.seed, parameters.slow_percent),
      arena_(make_arena(parameters)),
      exchange_(parameters.workers, arena_.plan().frames_per_worker(), /*handed_on=*/true),
      pairs_(parameters.pairs.size()),
      paths_(2 * parameters.pairs.size()) {
  std::vector<Machine*> machines;
  for (const MachineParameters& machine : parameters_.machines) {
    const MachineId id{static_cast<std::uint32_t>(machines_.size())};
    const HashKey key{random_.next(), random_.next()};
    machines_.push_back(
        std::make_unique<Machine>(MachineSetup{.id = id,
                                               .rules = machine.rules,
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
      paths_[path].flows.push_back(
          {.path = {path},
           .id = i < kPlainFlows ? i : kFirstStream + (i * 5 + path / 2 * 7) % kStreams});

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
  const ArenaPlan& plan = arena_.plan();
  frame_met_.resize(plan.workers * plan.frames_per_worker());
  buffer_met_.resize(plan.workers * plan.frames_per_worker());
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
  if (!change_.active && !questions_.empty()) answer_question();
  // As in run(): a worker with nothing to do sleeps in wait() until something happens to it.
  if (state.stalled_until > step_) return;
  deliver_mail(state);
  if (state.asleep && !state.io->has_events()) return;
  state.io->wait(false);
  state.worker->round();
  state.asleep = !state.worker->has_work();
  ++outcome_.rounds;
  mix(outcome_.trace, static_cast<std::uint64_t>(&state - workers_.data()));
  check_frames();
}

/// Workers hear of the same mail in different rounds, as threads do.
void Simulation::deliver_mail(WorkerState& state) {
  if (state.posted.empty() || !random_.percent(30)) return;
  check(state.mailbox->push(std::move(state.posted.front())), "the mailbox has room");
  state.posted.pop_front();
  state.io->wake_up();
}

void Simulation::drain() {
  for (WorkerState& state : workers_) state.stalled_until = 0;
  for (std::uint64_t i = 0; i < kDrainSteps; ++i) {
    const bool idle = std::ranges::none_of(workers_, [](const WorkerState& state) {
      return !state.asleep || !state.posted.empty() || state.io->has_events();
    });
    if (idle && questions_.empty()) {
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
  const Side to = peer_of(entry_of({path}));
  const bool splittable = parameters_.pairs[path / 2].ends[index_of(to)].plain_frames;
  Flow* flow = nullptr;
  for (std::uint32_t i = 0; i < packets; ++i) {
    // A stream's packets come in a row mostly.
    if (flow == nullptr || !flow->is_stream() || random_.percent(20))
      flow = &paths_[path].flows[random_.below(kFlowsPerPath)];
    MemoryDevice& device = *devices_[queues[flow->id % queues.size()]];
    if (device.send(draw_packet(*flow, splittable))) ++paths_[path].sent;
  }
}

/// splittable: of super-frames that are no streams, only those that cannot be split.
Packet Simulation::draw_packet(Flow& flow, bool splittable) {
  if (flow.is_stream()) {
    Segments segments{.payload = 100,
                      .unfinished = random_.percent(50),
                      .push = random_.percent(3),
                      .cwr = random_.percent(2)};
    if (random_.percent(10))
      segments.payload = static_cast<std::uint32_t>(sizeof(Record)) + random_.below(200);
    if (random_.percent(3)) segments.count = 2 + random_.below(20);
    segments.damaged = !segments.unfinished && segments.count == 1 && random_.percent(3);
    return make_segments(flow, segments);
  }
  Shape shape{.frame_bytes = kShortestWithRecord + random_.below(200),
              .gso = random_.percent(5),
              .checksum_kind = static_cast<std::uint8_t>(random_.below(kChecksumKinds))};
  if (splittable && shape.checksum_kind == 1) shape.gso = false;
  if (random_.percent(10)) shape.frame_bytes = 60 + random_.below(1455);
  if (shape.gso) shape.frame_bytes = 1600 + random_.below(random_.percent(10) ? 63000 : 3000);
  if (random_.percent(4)) shape.frame_bytes = random_.below(60);        // some without a header
  if (random_.percent(4)) shape.frame_bytes = 1515 + random_.below(8);  // around 1518
  if (shape.frame_bytes < kShortestWithRecord) shape.gso = false;
  return make_packet(flow, shape);
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
  const std::uint16_t ether_type = load_be16(&packet[kVnetBytes + kEthHeaderBytes - 2]);
  check(skb_len(static_cast<std::uint32_t>(frame_bytes), ether_type) <=
                kLargeMtu + kEthHeaderBytes + kVlanBytes ||
            header.gso_type != 0,
        "no frame longer than mtu + 18, but for an outer tag, is delivered unless it is GSO");
  ++outcome_.delivered;
  mix(outcome_.trace, path.value);
  mix(outcome_.trace, frame_bytes);
  if (frame_bytes < kShortestWithRecord) {
    ++paths_[path.value].arrived;
    return 0;
  }

  // Where RFS comes to know a flow, or loses it to another, its frames change their way at once.
  const bool ordered =
      parameters_.machines[parameters_.pairs[pair.value].machine].sysctls.rps_sock_flow_entries ==
          0 ||
      pairs_[pair.value].ends[index_of(side)].rps_flow_cnt == 0;
  const bool plain_frames = pairs_[pair.value].ends[index_of(side)].plain_frames;
  const std::string_view wrong = inspect(packet, plain_frames, [&](const Record& record) {
    check(record.path == path.value, "a frame arrives at the other end of its own pair");
    // For a network card a super-frame's segments are frames of their own.
    paths_[path.value].arrived += plain_frames ? 1U : record.begins;
    Flow& flow = *std::ranges::find(paths_[path.value].flows, record.flow, &Flow::id);
    std::uint64_t& last = record.damaged != 0 ? flow.last_damaged : flow.last_seen;
    if (ordered && record.sequence >= flow.order_from) {
      check(record.sequence > last, "a flow keeps its order");
      last = record.sequence;
    }
    const auto& queues = parameters_.pairs[pair.value].queues;
    const std::uint32_t came_by = flow.id % queues[index_of(peer_of(side))];
    check(queue.value == came_by % queues[index_of(side)] ||
              parameters_.pairs[pair.value].owner_only[index_of(side)],
          "a frame leaves by the queue it came in by");
    mix(outcome_.trace, record.sequence);
  });
  check(wrong.empty(), wrong);
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
    workers_[cpu].posted.push_back(std::move(mail));
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
    case Life::forgetting:
    case Life::adding:
    case Life::removing:
      return;
  }
}

/// Where a receiver begins or ceases to poll, new frames take another way than those before them,
/// in the kernel as here: no order holds until all workers know of it.
void Simulation::suspend_order(std::uint32_t pair) {
  for (const Side from : {Side::a, Side::b})
    for (Flow& flow : paths_[path_from({pair}, from).value].flows) flow.order_from = kNever;
}

/// It holds again for what is sent from now on.
void Simulation::restore_order(std::uint32_t pair) {
  for (const Side from : {Side::a, Side::b})
    for (Flow& flow : paths_[path_from({pair}, from).value].flows)
      if (flow.order_from == kNever) flow.order_from = flow.next;
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
                 .endpoints = {},
                 .can_ask = true};
    for (const Side side : {Side::a, Side::b}) {
      std::uint16_t number = 0;
      for (const std::size_t index : state.devices[index_of(side)]) {
        mail.endpoints.push_back({.fd = static_cast<int>(index),
                                  .path = path_from({pair}, side),
                                  .queue = {number},
                                  .owner = {(pair + number) % parameters_.workers},
                                  .reads = (pair + number) % parameters_.workers == cpu,
                                  .shared = !drawn.owner_only[index_of(side)]});
        ++number;
      }
    }
    return mail;
  });
}

void Simulation::change_device(std::uint32_t pair) {
  const Side side = random_.percent(50) ? Side::a : Side::b;
  Device& device = pairs_[pair].ends[index_of(side)];
  switch (random_.below(5)) {
    case 0:
      device.running = !device.running;
      break;
    case 1:
      device.mtu = random_.one_of({kSmallMtu, kLargeMtu});
      break;
    case 2:
      device.gro = !device.gro;
      suspend_order(pair);
      break;
    case 3:
      device.has_xdp = !device.has_xdp;
      suspend_order(pair);
      break;
    default:
      device.has_qdisc = !device.has_qdisc;
      break;
  }
  change_.pair = pair;
  change_.then = Life::live;
  post(change_, [&](std::uint32_t) { return SetDevice{{pair}, side, device}; });
}

/// Control has looked, and nothing is new.
void Simulation::answer_question() {
  const PathId path = questions_.front();
  questions_.pop_front();
  const PairId pair = pair_of(path);
  if (pairs_[pair.value].life != Life::live) return;  // it waits for nobody any more
  change_.pair = pair.value;
  change_.then = Life::live;
  post(change_, [&](std::uint32_t) { return Looked{pair, entry_of(path)}; });
}

void Simulation::stop_pair(std::uint32_t pair) {
  change_.pair = pair;
  change_.then = Life::stopping;
  post(change_, [&](std::uint32_t) { return StopReading{{pair}}; });
}

void Simulation::remove_pair(std::uint32_t pair) {
  pairs_[pair].life = Life::removing;
  change_.pair = pair;
  change_.then = Life::forgetting;
  post(change_, [&](std::uint32_t) { return RemovePair{{pair}}; });
}

void Simulation::forget_pair(std::uint32_t pair) {
  change_.pair = pair;
  change_.then = Life::gone;
  post(change_, [&](std::uint32_t) { return ForgetPair{{pair}}; });
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
  if (operation.then == Life::live) restore_order(operation.pair);
  // Mostly at once, as control does, while other workers are still busy with what they had.
  if (operation.then == Life::stopping && random_.percent(70)) return remove_pair(operation.pair);
  if (operation.then == Life::forgetting) return forget_pair(operation.pair);
  if (operation.then != Life::gone) return;
  for (const auto& side : pairs_[operation.pair].devices)
    for (const std::size_t index : side) devices_[index].reset();
}

void Simulation::check_snapshot() {
  ++outcome_.snapshots;
  for (std::size_t path = 0; path < cut_.size(); ++path) {
    if (pairs_[path / 2].reset_during_snapshot) continue;
    const auto& [counters, in_flight, rq] = cut_[path];
    if (!balanced(counters, in_flight))
      check(false,
            fmt::format("the ledger of path {} balances:{}", path, text_of(counters, in_flight)));
    mix(outcome_.trace, counters.rx_frames);
    mix(outcome_.trace, total(in_flight));
  }
}

// --- What must hold ---------------------------------------------------------------------------

void Simulation::check(bool holds, std::string_view what) const {
  if (!holds) throw Failure(fmt::format("step {}: does not hold: {}", step_, what));
}

void Simulation::check_frames() {
  ++checks_;
  listed_ = {};
  on_their_way_ = 0;
  check_queues();
  check_tables();
}

/// The frame is in a list, and in no other.
void Simulation::mark(const Frame& frame) {
  std::uint64_t& last = frame_met_[arena_.id_of(frame).value];
  check(std::exchange(last, checks_) != checks_, "a frame is in one list only");
  ++listed_[static_cast<std::size_t>(frame.holder)];
}

/// Every list there is: who is in it says so, and is in no other.
void Simulation::check_queues() {
  const auto in_list = [this](Holder holder) {
    return [this, holder](const Frame& frame) {
      check(frame.holder == holder, "a frame names the list that holds it");
      mark(frame);
    };
  };
  for (const auto& machine : machines_)
    for (const auto& sd : machine->softnet_data) {
      sd->input_pkt_queue().for_each(in_list(Holder::input_pkt_queue));
      sd->process_queue().for_each(in_list(Holder::process_queue));
      const SoftnetCounters counters = sd->counters();
      check(counters.input_qlen <= static_cast<std::uint64_t>(sd->sysctls().netdev_max_backlog) + 1,
            "a backlog holds netdev_max_backlog + 1 frames at most");
      on_their_way_ += counters.input_qlen - sd->input_pkt_queue().size();
    }
  for (const WorkerState& state : workers_) {
    state.io->for_each_arrived(in_list(Holder::endpoint));
    state.io->for_each_pending(in_list(Holder::pending_write));
    state.worker->for_each_rq([&](VethRq& rq) {
      std::size_t frames = 0;
      const auto count = [&](const Frame&) { ++frames; };
      rq.for_each_in_ring(in_list(Holder::napi_ring));
      rq.for_each_in_gro(in_list(Holder::gro_hold));
      rq.for_each_in_ring(count);
      rq.for_each_in_gro(count);
      check(frames == 0 || rq.is_scheduled(), "a receive queue with frames is to be polled");
      check(frames != 0 || !rq.tx_queue_stopped(), "a queue is stopped only while a poll is due");
    });
  }
}

/// Every frame there is: its home, its buffer, its chain; and none names a list it is not in.
void Simulation::check_tables() {
  const ArenaPlan& plan = arena_.plan();
  std::array<std::uint64_t, std::tuple_size_v<decltype(listed_)>> held{};
  for (std::size_t home = 0; home < plan.workers; ++home) {
    const FramePool& pool = *workers_[home].pool;
    std::uint64_t* const landings = &buffer_met_[home * plan.frames_per_worker()];
    std::uint64_t* const chunks = landings + kLandingBuffers;
    const auto take = [&](std::uint64_t* buffers, std::size_t count, std::size_t index) {
      check(index < count && std::exchange(buffers[index], checks_) != checks_,
            "a buffer has one frame");
    };
    for (const FrameAddr start : workers_[home].io->lent())
      take(landings, kLandingBuffers, arena_.landing_index(home, start));
    std::size_t free = 0;
    std::size_t in_landings = 0;
    std::size_t in_chunks = 0;
    for (const Frame& frame : arena_.frames_of(home)) {
      ++held[static_cast<std::size_t>(frame.holder)];
      check(frame.home == home, "a frame keeps its home");
      if (frame.holder == Holder::pool) {
        ++free;
        continue;
      }
      if (frame.buffer == Buffer::landing) {
        take(landings, kLandingBuffers, arena_.landing_index(home, frame.addr));
        ++in_landings;
      } else {
        take(chunks, plan.chunks_per_worker,
             (frame.addr.value - arena_.chunk(home, 0).value) / kChunkBytes);
        ++in_chunks;
      }
      for (const Frame* part = frame.frag_list; part != nullptr; part = part->next) {
        check(part->holder == Holder::fragment, "a chain is made of fragments");
        mark(*part);
      }
    }
    check(free == pool.free_frames(), "the pool has every free frame");
    check(in_landings == pool.landings_held(), "the pool knows how many landing buffers are held");
    check(in_chunks + pool.free_chunks() == plan.chunks_per_worker, "no chunk is lost");
  }
  for (const Holder holder :
       {Holder::input_pkt_queue, Holder::process_queue, Holder::endpoint, Holder::pending_write,
        Holder::napi_ring, Holder::gro_hold, Holder::fragment})
    check(held[static_cast<std::size_t>(holder)] == listed_[static_cast<std::size_t>(holder)],
          "a frame is in the list it names");
  check(held[static_cast<std::size_t>(Holder::handover)] == on_their_way_,
        "a frame on its way has its place in the backlog");
  for (const Holder holder : {Holder::in_hand, Holder::transmit, Holder::written, Holder::marker})
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
    if (total(in_flight) != 0)
      check(false, fmt::format("nothing of path {} stays on its way:{}", path,
                               text_of(counters, in_flight)));
    check(counters.rx_frames == paths_[path].sent, "all that was sent has entered");
    // What GRO has merged into a frame that was then not written has not arrived.
    const std::uint64_t arrived = paths_[path].arrived;
    check(counters.tx_frames <= arrived && arrived <= counters.tx_frames + counters.merged_frames,
          "all that left has arrived");
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

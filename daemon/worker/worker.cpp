#include "daemon/worker/worker.hpp"

#include <algorithm>
#include <thread>

#include "daemon/core/panic.hpp"
#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/coalesce.hpp"
#include "daemon/pipeline/rx_csum.hpp"
#include "daemon/pipeline/validate_xmit.hpp"

namespace vethd {
namespace {

// Landing buffers that may lie in sockets' rings: a device that is down sends nothing, and others
// read with the rest.
constexpr std::size_t kLandingsInRings = kLandingBuffers / 4;

}  // namespace

Worker::Worker(const WorkerParts& parts)
    : cpu_(parts.cpu),
      io_(parts.io),
      pool_(parts.pool),
      exchange_(parts.exchange),
      clock_(parts.clock),
      context_{.clock = parts.clock, .outside = *this, .delivered = delivered_},
      sent_home_to_(parts.exchange.workers(), false),
      handed_on_to_(parts.exchange.workers(), false),
      busy_poll_(parts.busy_poll),
      mailbox_(parts.mailbox),
      control_(parts.control),
      markers_(parts.exchange.workers()) {
  for (Machine* machine : parts.machines)
    softnets_.push_back(machine->softnet_data[cpu_.value].get());
  for (Frame& marker : markers_) marker.holder = Holder::marker;
}

void Worker::run() {
  auto started = io_.start();
  const bool ok = started.has_value();
  answer(0, std::move(started));
  if (!ok) return;
  while (!stopped_) {
    wait();  // the only blocking point
    round();
  }
}

void Worker::wait() {
  if (has_work()) {
    wait_for_io(/*block=*/false);
    return;
  }
  if (busy_poll_.is_on() && busy_poll_.pays(clock_.now()) && look()) return;
  ++counters_.sleeps;
  const Instant began = busy_poll_.is_on() ? clock_.now() : Instant{};
  wait_for_io(/*block=*/true);
  if (busy_poll_.is_on() && !io_.ready().empty()) busy_poll_.slept(clock_.now() - began);
}

/// What is submitted here is written here: how long that takes is what the round's last source
/// costs, and those before it as much, or they had ended the round. With something to write the
/// wait is no sleep.
bool Worker::wait_for_io(bool block) {
  Turn* const turn = std::exchange(measured_turn_, nullptr);
  if (!std::exchange(transmitted_, false) || turn == nullptr) return io_.wait(block);
  const Instant began = clock_.now();
  const bool something = io_.wait(block);
  turn->measured(received_weight_, clock_.now() - began);
  return something;
}

/// Looks for something to do without sleeping, as long as that may pay.
bool Worker::look() {
  if (wait_for_io(/*block=*/false)) return true;  // what the last round has sent off
  ++counters_.busy_polls;
  const Instant began = clock_.now();
  for (Instant last = began;;) {  // ends: at the limit of BusyPoll
    if (io_.has_events()) {
      ++counters_.busy_poll_hits;
      busy_poll_.found_something();
      wait_for_io(/*block=*/false);
      return true;
    }
    std::this_thread::yield();  // whoever waits for this CPU has it now
    const Instant now = clock_.now();
    if (busy_poll_.found_nothing(began, last, now) != BusyPoll::Look::on) return false;
    last = now;
  }
}

void Worker::round() {
  ++counters_.rounds;
  for (SoftnetData* sd : softnets_) sd->publish_head();  // wait() has written what they delivered
  take_mail();      // control: pairs come, change and go between rounds
  take_handover();  // what other CPUs' enqueue_to_backlog() sent here
  receive();        // endpoints -> veth_xmit -> a backlog, a softirq after each source
  net_rx_action();  // backlogs -> delivered
  transmit();       // delivered -> the peer's endpoint
  park();           // what stays behind leaves its landing buffer
  settle();         // written -> counted; every frame comes home
}

bool Worker::has_work() {
  if (!io_.ready().empty() || !mailbox_.empty()) return true;
  for (const SoftnetData* sd : softnets_)
    if (sd->net_rx_pending()) return true;
  if (io_.is_starved()) exchange_.starved(cpu_).exchange(true, std::memory_order_acq_rel);
  for (std::uint32_t other = 0; other < exchange_.workers(); ++other) {
    if (other == cpu_.value) continue;
    if (!exchange_.handover({other}, cpu_).empty()) return true;
    if (io_.is_starved() && !exchange_.homeward({other}, cpu_).empty()) return true;
  }
  return false;
}

void Worker::take_handover() {
  if (io_.take_wake()) {
    ++counters_.wakes;
    for (SoftnetData* sd : softnets_) sd->rps_trigger_softirq();
  }
  for (std::uint32_t other = 0; other < exchange_.workers(); ++other) {
    if (other == cpu_.value) continue;
    auto& homeward = exchange_.homeward({other}, cpu_);
    while (auto frame = homeward.pop()) {  // ends: the frames of this worker
      (*frame)->holder = Holder::in_hand;
      pool_.release(**frame);
    }
    auto& handover = exchange_.handover({other}, cpu_);
    for (std::size_t i = 0; i < kHandoverBatch; ++i) {
      const auto entry = handover.pop();
      if (!entry) break;
      Frame& frame = **entry;
      if (frame.holder == Holder::marker) {
        take_marker({other});
        continue;
      }
      const bool outbound = frame.holder == Holder::outbound;
      if (cut_ && cut_->marker_missing[other]) {
        InFlight& in_flight = cut_->share->paths[frame.path.value].in_flight;
        ++(outbound ? in_flight.outbound : in_flight.handover);
      }
      frame.holder = Holder::in_hand;
      invariant(frame.path.value < paths_.size() && paths_[frame.path.value] != nullptr,
                "a path is known to all workers before it is used");
      if (outbound)
        delivered_.push(frame);
      else
        paths_[frame.path.value]->softnet->enqueue_remote(frame);
    }
  }
}

void Worker::receive() {
  std::vector<Endpoint*>& ready = io_.ready();
  auto next = ready.begin();
  measured_turn_ = nullptr;
  received_weight_ = 0;
  while (next != ready.end() && measured_turn_ == nullptr) {
    Endpoint* const source = *next++;
    Path& path = *paths_[source->path().value];
    const std::size_t batch = batch_of(path, *source);
    if (batch == 0) continue;  // the sender goes on
    const std::uint32_t weight = source->receive(received_, batch);
    received_weight_ += weight;
    if (path.dev.mute_checksums)
      received_.for_each([this](Frame& frame) { mark_unfinished_checksum(frame, pool_.arena()); });
    forward_batch(path, *source);
    path.softnet->do_softirq(context_);
    if (source->turn().ends_round(weight)) measured_turn_ = &source->turn();
  }
  std::rotate(ready.begin(), next, ready.end());  // those that had no turn come first next time
  std::erase_if(
      ready, [this](Endpoint* source) { return !source->has_arrivals() || is_stopped(*source); });
}

std::size_t Worker::batch_of(const Path& path, Endpoint& source) {
  if (path.rq.empty() || path.softnet->machine().inline_arrival) return kReceiveBatch;
  VethRq* const rq = merging_queue(path, source.queue());
  return rq == nullptr ? kReceiveBatch : rq->batch(source.arrived(), kReceiveBatch);
}

void Worker::forward_batch(Path& path, Endpoint& source) {
  const bool one_by_one = path.softnet->machine().inline_arrival;
  if (!one_by_one && takes_lists(path)) {
    veth_xmit_list(path, received_, pool_.arena(), *this);
    if (!received_.empty()) [[unlikely]]
      ask(path, source);
    return;
  }
  while (Frame* frame = received_.pop()) {
    switch (veth_xmit(path, *frame, pool_.arena().bytes_of(*frame), *this)) {
      case Xmit::queued:
        break;
      case Xmit::dropped:
        release(*frame);
        break;
      case Xmit::busy:
        received_.push_front(*frame);
        stop_queue(source, StoppedUntil::polled);  // before the softirq, which may wake it
        break;
      case Xmit::unsure:
        received_.push_front(*frame);
        ask(path, source);
        break;
    }
    if (one_by_one) path.softnet->do_softirq(context_);
  }
}

/// What is left of the batch waits for control's answer, unless there is a fresh one: then it goes
/// as far as it can with what is known.
void Worker::ask(Path& path, Endpoint& source) {
  const PortSide& side = ports_[pair_of(path.id).value].sides[index_of(entry_of(path.id))];
  if (clock_.now() < side.answer_holds_until) {
    path.can_ask = false;
    forward_batch(path, source);
    path.can_ask = true;
    return;
  }
  ++path.counters.waited_for_control;
  stop_queue(source, StoppedUntil::looked);
  control_.look_again({path.id});
}

/// As a qdisc requeues: what is left of the batch is the next to be sent, once the queue is awake
/// again.
void Worker::stop_queue(Endpoint& source, StoppedUntil until) {
  source.give_back(received_);
  io_.pause_reading(source);
  stopped_queues_.push_back({&source, until});
}

bool Worker::is_stopped(const Endpoint& source) const {
  return std::ranges::find(stopped_queues_, &source, &StoppedQueue::source) !=
         stopped_queues_.end();
}

/// Of a queue that is no longer among the stopped.
void Worker::wake(Endpoint& source) {
  const bool leaving = std::ranges::any_of(
      removals_, [&](const Removal& removal) { return removal.pair == pair_of(source.path()); });
  if (!leaving) io_.resume_reading(source);
  woken_queues_.push_back(&source);
}

void Worker::wake_queue(PathId path, QueueId queue) {
  const auto found = std::ranges::find_if(stopped_queues_, [&](const StoppedQueue& stopped) {
    return stopped.until == StoppedUntil::polled && stopped.source->path() == path &&
           stopped.source->queue() == queue;
  });
  if (found == stopped_queues_.end()) return;
  Endpoint& source = *found->source;
  stopped_queues_.erase(found);
  wake(source);
}

void Worker::wake_asking(PathId path) {
  std::erase_if(stopped_queues_, [&](const StoppedQueue& stopped) {
    if (stopped.until != StoppedUntil::looked || stopped.source->path() != path) return false;
    wake(*stopped.source);
    return true;
  });
}

void Worker::net_rx_action() {
  for (SoftnetData* sd : softnets_) {
    sd->do_softirq(context_);  // what other CPUs' wake-ups have raised
    if (sd->ksoftirqd_running()) sd->run_ksoftirqd(context_);
  }
  std::vector<Endpoint*>& ready = io_.ready();
  for (Endpoint* endpoint : woken_queues_)
    if (endpoint->has_arrivals() && std::ranges::find(ready, endpoint) == ready.end())
      ready.push_back(endpoint);
  woken_queues_.clear();
}

void Worker::transmit() {
  FrameList run(Holder::transmit);                   // frames in a row of the same path
  while (const Frame* first = delivered_.front()) {  // ends: each takes one at least
    const PathId path = first->path;
    run.splice_while(delivered_, [path](const Frame& frame) { return frame.path == path; });
    transmit(egress(path), run);
  }
}

void Worker::transmit(const PortSide& side, FrameList& frames) {
  if (side.queues.size() == 1) {
    transmit(side.queues.front(), frames);
    return;
  }
  FrameList run(Holder::transmit);  // of those, for the same queue
  const PortQueue* target = nullptr;
  while (Frame* frame = frames.pop()) {
    const PortQueue& next = egress(side, *frame);
    if (target != nullptr && target != &next) transmit(*target, run);
    target = &next;
    run.push(*frame);
  }
  if (target != nullptr) transmit(*target, run);
}

void Worker::transmit(const PortQueue& queue, FrameList& run) {
  if (queue.endpoint == nullptr) {
    spare_landings(run, paths_[run.front()->path.value]->counters);
    run.drain([&](Frame& frame) { hand_on(frame, queue.owner); });
    return;
  }
  Path& path = *paths_[run.front()->path.value];
  if (path.peer.plain_frames) {
    FrameList spent(Holder::transmit);
    validate_xmit(run, queue.endpoint->transmit_room(), pool_, path.counters, spent);
    spent.drain([this](Frame& frame) { release(frame); });
    spare_landings(run, path.counters);
  } else {
    coalesce(run, path.dev, path.peer, pool_.arena());
  }
  transmitted_ = true;
  queue.endpoint->transmit(run);
}

const Worker::PortSide& Worker::egress(PathId path) const {
  const Side entry = entry_of(path);
  const Side side = broken(Stage::delivery) ? entry : peer_of(entry);
  return ports_[pair_of(path).value].sides[index_of(side)];
}

/// Emulates  drivers/net/veth.c: veth_xmit(): skb_get_queue_mapping() chooses the receive queue. A
///           queue beyond the receiver's is folded, where the kernel leaves the choice open.
const Worker::PortQueue& Worker::egress(const PortSide& side, const Frame& frame) const {
  const std::size_t queues = side.queues.size();
  const std::size_t mapping = frame.meta.queue_mapping;
  const PortQueue& mapped = side.queues[mapping < queues ? mapping : mapping % queues];
  if (mapped.endpoint != nullptr) [[likely]]
    return mapped;
  // RPS has moved the frame to a worker that may not write there. A queue of its own saves the way
  // back: all of a flow comes here.
  for (const PortQueue& queue : side.queues)
    if (queue.endpoint != nullptr) return queue;
  return mapped;
}

/// What goes into a socket's ring may stay there, and so may what another worker is to put there.
void Worker::spare_landings(FrameList& leaving, Counters& counters) {
  if (pool_.landings_held() <= kLandingsInRings) return;
  const auto is_one_too_many = [this](Frame& frame) {
    if (frame.buffer != Buffer::landing || frame.home != cpu_.value) return false;
    if (frame.meta.gso_type != 0) return false;  // is split, and its buffer comes home
    if (pool_.landings_held() <= kLandingsInRings) return false;
    park(frame);
    return frame.buffer == Buffer::landing;
  };
  leaving.take_if(is_one_too_many, [&](Frame& frame) {
    ++counters.drop_no_chunk;
    release(frame);
  });
}

/// To the one worker that may write it, which then does what transmit() does here.
void Worker::hand_on(Frame& frame, CpuId owner) {
  frame.holder = Holder::outbound;
  invariant(exchange_.handover(cpu_, owner).push(&frame), "a lane has room for every frame");
  handed_on_to_[owner.value] = true;
}

void Worker::park() {
  if (pool_.landings_held() == 0) return;
  for (SoftnetData* sd : softnets_) {
    park(sd->input_pkt_queue());
    park(sd->process_queue());
    sd->for_each_to_poll([this](Napi& rq) {
      static_cast<VethRq&>(rq).for_each_in_ring([this](Frame& frame) { park(frame); });
    });
  }
  for (const StoppedQueue& stopped : stopped_queues_) park(stopped.source->arrived());
}

void Worker::park(FrameList& queue) {
  // This round's arrivals are at the tail; those before them were parked in their own round. What
  // came by way of a ring may have been parked there, and hides others: they only cost a buffer.
  for (Frame* frame = queue.back();
       frame != nullptr && frame->buffer == Buffer::landing && frame->home == cpu_.value;
       frame = frame->prev)
    park(*frame);
}

void Worker::park(Frame& frame) {
  if (pool_.park(frame)) ++paths_[frame.path.value]->counters.parked;
  for (Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next) pool_.park(*piece);
}

void Worker::hand_over(Frame& frame, CpuId target) {
  // The other CPU may take its time. As long as half of the landing buffers are here, nothing needs
  // to be copied.
  if (pool_.landings_held() > kLandingBuffers / 2) park(frame);
  frame.holder = Holder::handover;
  invariant(exchange_.handover(cpu_, target).push(&frame), "a lane has room for every frame");
}

void Worker::settle() {
  io_.written().drain([this](Frame& frame) {
    Counters& counters = paths_[frame.path.value]->counters;
    if (frame.write_error == 0 && !frame.coalesced) [[likely]] {
      ++counters.tx_frames;
      counters.tx_bytes += frame.len;
    } else {
      count_ended(frame, counters);
    }
    release(frame);
  });
  for (const PathId path : io_.paused()) ++paths_[path.value]->counters.rx_no_buffer;
  io_.paused().clear();
  for (const EndpointFailure& failure : io_.failures()) control_.notice({cpu_, failure});
  io_.failures().clear();
  wake_told();
  io_.refill();
  if (!removals_.empty()) finish_removals();
}

void Worker::count_ended(const Frame& frame, Counters& counters) {
  const std::uint32_t frames = frame.frames();
  switch (frame.write_error) {
    case 0:
      counters.tx_frames += frames;
      counters.tx_bytes += frame.bytes();
      counters.tx_coalesced += frames - 1;
      break;
    case EIO:
      counters.drop_write_eio += frames;
      break;
    case EINVAL:
      counters.drop_write_einval += frames;
      break;
    case ENOBUFS:
      counters.drop_write_enobufs += frames;
      break;
    case ENOMEM:
      counters.drop_write_enomem += frames;
      break;
    case EBADFD:
      counters.drop_write_ebadfd += frames;
      break;
    case EAGAIN:
      counters.drop_write_eagain += frames;
      break;
    case ENOSPC:
      counters.drop_tx_ring_full += frames;
      break;
    case EMSGSIZE:
      counters.drop_too_long += frames;
      break;
    case ECANCELED:
      counters.drop_removed += frames;
      break;
    default:
      counters.drop_write_other += frames;
      break;
  }
}

void Worker::send_home(Frame& frame) {
  frame.holder = Holder::homeward;
  invariant(exchange_.homeward(cpu_, {frame.home}).push(&frame), "a lane has room for every frame");
  sent_home_to_[frame.home] = true;
}

/// Those that sleep and have something from this round.
void Worker::wake_told() {
  for (std::uint32_t cpu = 0; cpu < exchange_.workers(); ++cpu) {
    bool wake = handed_on_to_[cpu];
    if (sent_home_to_[cpu])
      wake = exchange_.starved({cpu}).exchange(false, std::memory_order_acq_rel) || wake;
    handed_on_to_[cpu] = sent_home_to_[cpu] = false;
    if (wake) io_.wake({cpu});
  }
}

}  // namespace vethd

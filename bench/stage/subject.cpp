#include "bench/stage/subject.hpp"

#include <utility>

#include "daemon/core/panic.hpp"

namespace vethd::bench {

Subject::Subject(std::vector<test::Packet> packets, std::size_t cpus, const Sysctls& sysctls)
    : packets_(std::move(packets)),
      machine_({.sysctls = sysctls, .hash_key = {1, 2}, .cpus = cpus}),
      softnet_(*machine_.softnet_data[0]),
      context_{.clock = clock_, .outside = *this, .delivered = delivered_},
      free_frames_(frames_.pool().free_frames()) {
  path_.dev.netns = 1;
  path_.dev.running = true;
  path_.peer.netns = 2;
  path_.peer.running = true;
  path_.peer.dev_addr = {{2, 0, 0, 0, 0, 2}};  // whom test::build() writes to
  path_.softnet = &softnet_;
  batch_.reserve(packets_.size());
}

void Subject::prepare() {
  batch_.clear();
  for (const test::Packet& packet : packets_) batch_.push_back(&frames_.put(packet));
  arrange();
}

void Subject::clean_up() {
  while (softnet_.net_rx_pending()) softnet_.do_softirq(context_);  // ends: nothing comes in
  while (delivered_.pop() != nullptr) {
  }
  // Those on the chain of another go home with it.
  for (Frame* const frame : batch_)
    if (frame->holder == Holder::in_hand) frames_.pool().release(*frame);
  invariant(frames_.pool().free_frames() == free_frames_, "every frame of a batch comes home");
}

void Subject::hand_over(Frame& /*frame*/, CpuId /*target*/) { panic("a batch stays on its CPU"); }
void Subject::send_ipi(CpuId /*target*/) { panic("a batch stays on its CPU"); }
void Subject::wake_queue(PathId /*path*/, QueueId /*queue*/) { panic("no queue is stopped"); }
void Subject::release(Frame& /*frame*/) { panic("no frame of a batch is dropped"); }

[[gnu::noinline]] void measured(Subject& subject) { subject.run(); }

}  // namespace vethd::bench

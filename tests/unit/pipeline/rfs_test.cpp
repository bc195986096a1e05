// Receive flow steering: a flow follows its application, but never overtakes itself.
#include "daemon/pipeline/rfs.hpp"

#include <gtest/gtest.h>

#include "daemon/pipeline/rps.hpp"
#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

constexpr std::uint32_t kHash = 0x12345678;

class Rfs : public test::Softnet {
 protected:
  Rfs() {
    build({.rps_sock_flow_entries = 64});
    path_.id = {0};
    path_.rps_flow_tables.assign(1, RpsDevFlowTable(16));
  }
  RpsChoice choose() {
    Frame& frame = new_frame();
    frame.meta.hash = kHash;
    return get_rps_cpu(path_, frame, kNoBytes);
  }
  /// The receiving application has shown that it runs there.
  void runs_on(CpuId cpu) { here().sock_flow_table()->record(flow_ident(kHash, Side::b), cpu); }
  /// As netif_rx() does.
  void send() {
    const RpsChoice choice = choose();
    Frame& frame = new_frame();
    frame.meta.hash = kHash;
    EXPECT_EQ(here().enqueue_to_backlog(frame, kNoBytes, up_, choice.cpu.value_or(kHere),
                                        choice.flow, *this),
              SoftnetData::Enqueue::queued);
  }
};

TEST_F(Rfs, LeavesAnUnknownFlowToTheMap) {
  EXPECT_EQ(choose().cpu, std::nullopt);
  path_.peer.rps_cpus = {{kThere}};
  EXPECT_EQ(choose().cpu, kThere);
  EXPECT_EQ(choose().flow, nullptr) << "the map's choice is not written down";
}

TEST_F(Rfs, FollowsTheApplicationRatherThanTheMap) {
  path_.peer.rps_cpus = {{kHere}};
  runs_on(kThere);
  const RpsChoice choice = choose();
  EXPECT_EQ(choice.cpu, kThere);
  ASSERT_NE(choice.flow, nullptr);
  EXPECT_EQ(choice.flow->cpu, kThere.value);
}

TEST_F(Rfs, NeedsBothTables) {
  runs_on(kThere);
  path_.rps_flow_tables.clear();
  EXPECT_EQ(choose().cpu, std::nullopt);
  path_.rps_flow_tables.assign(1, RpsDevFlowTable(16));
  EXPECT_EQ(choose().cpu, kThere);
  here().set({.rps_sock_flow_entries = 0}, nullptr);
  EXPECT_EQ(choose().cpu, std::nullopt);
}

TEST_F(Rfs, TellsTheDirectionsOfAFlowApart) {
  here().sock_flow_table()->record(flow_ident(kHash, Side::a), kThere);
  EXPECT_EQ(choose().cpu, std::nullopt) << "that application is the sender's";
}

TEST_F(Rfs, MistakesNoOtherFlowOfTheSameSlotForThisOne) {
  here().sock_flow_table()->record(flow_ident(kHash + 64, Side::b), kThere);
  EXPECT_EQ(choose().cpu, std::nullopt);
}

TEST_F(Rfs, RecordsTheSenderWhereItsFramesAreRead) {
  Path reverse;
  reverse.id = {1};
  reverse.softnet = &there();
  Frame& frame = new_frame();
  frame.meta.hash = kHash;
  sock_rps_record_flow(reverse, frame, kNoBytes);
  EXPECT_EQ(choose().cpu, kThere);
}

TEST_F(Rfs, MovesAFlowOnlyWhenTheQueueItUsedHasDrainedPastIt) {
  runs_on(kHere);
  send();
  send();
  runs_on(kThere);
  EXPECT_EQ(choose().cpu, kHere) << "two frames wait";
  run(here());
  EXPECT_EQ(choose().cpu, kHere) << "they are out of the queue, but not with the receiver";
  here().publish_head();
  EXPECT_EQ(choose().cpu, kThere);
}

TEST_F(Rfs, StaysWhileTheLastFrameOfTheFlowIsNotOut) {
  build({.dev_weight = 1, .rps_sock_flow_entries = 64});
  path_.rps_flow_tables.assign(1, RpsDevFlowTable(16));
  runs_on(kHere);
  send();
  send();
  runs_on(kThere);
  run(here());
  here().publish_head();
  EXPECT_EQ(choose().cpu, kHere);
  run(here());
  here().publish_head();
  EXPECT_EQ(choose().cpu, kThere);
}

TEST_F(Rfs, MovesAtOnceWhenOnlyOtherFlowsWait) {
  runs_on(kHere);
  send();
  run(here());
  here().publish_head();
  fill(10);
  runs_on(kThere);
  EXPECT_EQ(choose().cpu, kThere);
}

TEST_F(Rfs, CountsFramesThatAreStillOnTheirWayToTheOtherCpu) {
  runs_on(kThere);
  send();
  runs_on(kHere);
  EXPECT_EQ(choose().cpu, kThere);
  arrive_there();
  run(there());
  there().publish_head();
  EXPECT_EQ(choose().cpu, kHere);
}

TEST_F(Rfs, ComparesCountersAcrossTheirWrapAround) {
  runs_on(kThere);
  RpsDevFlow& flow = *choose().flow;
  runs_on(kHere);
  // The head is 0. What was enqueued before it has left, however long ago it was counted.
  for (const auto& [last_qtail, moves] : {std::pair{0U, true},
                                          {0xffffffffU, true},
                                          {0x80000001U, true},
                                          {0x80000000U, false},
                                          {0x7fffffffU, false},
                                          {1U, false}}) {
    flow = {.cpu = kThere.value, .last_qtail = last_qtail};
    EXPECT_EQ(choose().cpu, moves ? kHere : kThere) << std::hex << last_qtail;
  }
}

TEST_F(Rfs, RemembersTheTailAfterItsOwnFrame) {
  fill(7);
  runs_on(kHere);
  send();
  EXPECT_EQ(choose().flow->last_qtail, 8U);
}

TEST_F(Rfs, ForgetsARefusedFramesPlace) {
  build({.netdev_max_backlog = 2, .rps_sock_flow_entries = 64});
  path_.rps_flow_tables.assign(1, RpsDevFlowTable(16));
  runs_on(kHere);
  EXPECT_EQ(fill(10), 3);
  run(here());
  send();
  EXPECT_EQ(choose().flow->last_qtail, 4U);
}

TEST_F(Rfs, KeepsATablePerReceiveQueue) {
  path_.peer.real_num_rx_queues = 2;
  path_.rps_flow_tables.assign(2, RpsDevFlowTable(16));
  runs_on(kThere);
  Frame& frame = new_frame();
  frame.meta.hash = kHash;
  frame.meta.queue_mapping = 2;  // recorded: the receiver's queue 1
  EXPECT_NE(get_rps_cpu(path_, frame, kNoBytes).flow, choose().flow);
}

}  // namespace
}  // namespace vethd

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/chain.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/frame/pool.hpp"

namespace vethd {
namespace {

constexpr std::size_t kMiB = 1 << 20;

std::vector<const Frame*> order_of(const FrameList& list) {
  std::vector<const Frame*> frames;
  list.for_each([&](const Frame& frame) { frames.push_back(&frame); });
  return frames;
}

/// Frames without memory, in hand.
std::vector<Frame> frames_in_hand(std::size_t count) {
  std::vector<Frame> frames(count);
  for (Frame& frame : frames) frame.holder = Holder::in_hand;
  return frames;
}

TEST(FrameList, HandsOutOldestFirstAndNamesTheHolder) {
  auto frames = frames_in_hand(3);
  FrameList list(Holder::endpoint);
  for (Frame& frame : frames) list.push(frame);
  EXPECT_EQ(list.size(), 3U);
  EXPECT_EQ(frames[1].holder, Holder::endpoint);
  for (Frame& frame : frames) {
    EXPECT_EQ(list.pop(), &frame);
    EXPECT_EQ(frame.holder, Holder::in_hand);
  }
  EXPECT_EQ(list.pop(), nullptr);
  EXPECT_TRUE(list.empty());
}

TEST(FrameList, RemovesFromAnyPlaceAndKeepsTheOrderOfTheRest) {
  for (std::size_t gone = 0; gone < 3; ++gone) {
    auto frames = frames_in_hand(3);
    FrameList list(Holder::endpoint);
    for (Frame& frame : frames) list.push(frame);
    list.remove(frames[gone]);
    std::vector<const Frame*> rest;
    for (std::size_t i = 0; i < 3; ++i)
      if (i != gone) rest.push_back(&frames[i]);
    EXPECT_EQ(order_of(list), rest);
    list.push(frames[gone]);
    EXPECT_EQ(list.back(), &frames[gone]);
  }
}

TEST(FrameList, SplicesEverythingToItsEndAndTakesOverAsHolder) {
  auto frames = frames_in_hand(4);
  FrameList process_queue(Holder::process_queue);
  FrameList input(Holder::input_pkt_queue);
  process_queue.push(frames[0]);
  for (std::size_t i = 1; i < 4; ++i) input.push(frames[i]);
  process_queue.splice(input);
  EXPECT_TRUE(input.empty());
  EXPECT_EQ(input.size(), 0U);
  EXPECT_EQ(process_queue.size(), 4U);
  process_queue.splice(input);
  for (Frame& frame : frames) {
    EXPECT_EQ(frame.holder, Holder::process_queue);
    EXPECT_EQ(process_queue.pop(), &frame);
  }
}

TEST(FrameList, SplicesTheOldestAndLeavesTheRestInOrder) {
  for (std::size_t count = 0; count < 6; ++count) {
    auto frames = frames_in_hand(5);
    FrameList delivered(Holder::transmit);
    FrameList input(Holder::input_pkt_queue);
    delivered.push(frames[0]);
    for (std::size_t i = 1; i < 5; ++i) input.push(frames[i]);
    const std::size_t taken = std::min<std::size_t>(count, 4);
    EXPECT_EQ(delivered.splice(input, count), taken);
    EXPECT_EQ(delivered.size(), 1 + taken);
    EXPECT_EQ(input.size(), 4 - taken);
    EXPECT_EQ(delivered.back(), &frames[taken]);
    for (std::size_t i = 0; i <= taken; ++i) EXPECT_EQ(delivered.pop(), &frames[i]);
    EXPECT_EQ(delivered.pop(), nullptr);
    for (std::size_t i = taken + 1; i < 5; ++i) EXPECT_EQ(input.pop(), &frames[i]);
    EXPECT_EQ(input.pop(), nullptr);
    EXPECT_EQ(input.back(), nullptr);
  }
}

TEST(FrameList, SplicesTheOldestOfTheSameHolderToo) {
  for (std::size_t count = 0; count < 6; ++count) {
    auto frames = frames_in_hand(5);
    FrameList first(Holder::endpoint);
    FrameList second(Holder::endpoint);
    first.push(frames[0]);
    for (std::size_t i = 1; i < 5; ++i) second.push(frames[i]);
    const std::size_t taken = std::min<std::size_t>(count, 4);
    EXPECT_EQ(first.splice(second, count), taken);
    EXPECT_EQ(second.size(), 4 - taken);
    for (std::size_t i = 0; i <= taken; ++i) EXPECT_EQ(first.pop(), &frames[i]);
    EXPECT_TRUE(first.empty());
    for (std::size_t i = taken + 1; i < 5; ++i) EXPECT_EQ(second.pop(), &frames[i]);
    EXPECT_EQ(second.back(), nullptr);
  }
}

TEST(FrameList, SplicesAsLongAsFramesMatch) {
  for (std::size_t matching = 0; matching <= 4; ++matching) {
    auto frames = frames_in_hand(4);
    FrameList delivered(Holder::transmit);
    FrameList run(Holder::transmit);
    for (std::size_t i = 0; i < 4; ++i) {
      frames[i].path = {i < matching ? 0U : 1U};
      delivered.push(frames[i]);
    }
    run.splice_while(delivered, [](const Frame& frame) { return frame.path == PathId{0}; });
    EXPECT_EQ(run.size(), matching);
    EXPECT_EQ(delivered.size(), 4 - matching);
    for (std::size_t i = 0; i < matching; ++i) EXPECT_EQ(run.pop(), &frames[i]);
    for (std::size_t i = matching; i < 4; ++i) EXPECT_EQ(delivered.pop(), &frames[i]);
    EXPECT_TRUE(run.empty() && delivered.empty());
    EXPECT_EQ(delivered.back(), nullptr);
  }
}

TEST(FrameList, DrainsOldestFirstIntoWhateverTakesThem) {
  auto frames = frames_in_hand(3);
  FrameList list(Holder::written);
  FrameList other(Holder::transmit);
  for (Frame& frame : frames) list.push(frame);
  list.drain([&](Frame& frame) {
    EXPECT_TRUE(list.empty()) << "it may be filled again meanwhile";
    other.push(frame);
  });
  EXPECT_EQ(list.size(), 0U);
  EXPECT_EQ(list.back(), nullptr);
  EXPECT_EQ(order_of(other), (std::vector<const Frame*>{&frames[0], &frames[1], &frames[2]}));
}

TEST(FrameList, TakesOutEveryMatchAndLeavesTheRestInOrder) {
  auto frames = frames_in_hand(6);
  FrameList list(Holder::endpoint);
  for (std::uint32_t i = 0; i < 6; ++i) {
    frames[i].path = {i % 2};
    list.push(frames[i]);
  }
  std::size_t taken = 0;
  list.take_if([](const Frame& frame) { return frame.path == PathId{0}; },
               [&](Frame& frame) {
                 EXPECT_EQ(frame.holder, Holder::in_hand);
                 ++taken;
               });
  EXPECT_EQ(taken, 3U);
  EXPECT_EQ(order_of(list), (std::vector<const Frame*>{&frames[1], &frames[3], &frames[5]}));
}

TEST(FrameListDeathTest, RefusesAFrameThatSomebodyElseHolds) {
  auto frames = frames_in_hand(1);
  FrameList first(Holder::endpoint);
  FrameList second(Holder::transmit);
  first.push(frames[0]);
  EXPECT_DEATH(second.push(frames[0]), "a frame has one holder");
  EXPECT_DEATH(second.remove(frames[0]), "a frame is where it says it is");
}

TEST(ArenaPlan, DividesTheWholeLimitAndStaysWithinIt) {
  for (const std::size_t workers : {1, 2, 7}) {
    const std::size_t limit = workers * 8 * kMiB;
    const ArenaPlan plan = plan_arena(limit, workers);
    const std::size_t used = plan.bytes() + workers * plan.frames_per_worker() * sizeof(Frame);
    EXPECT_LE(used, limit);
    EXPECT_GT(used + workers * (kChunkBytes + sizeof(Frame)), limit);
    EXPECT_EQ(plan.bytes_per_worker % kChunkBytes, 0U) << "a chunk starts where a page does";
  }
}

TEST(ArenaPlanDeathTest, RefusesLessThanABatchPerWorker) {
  EXPECT_DEATH(plan_arena(4 * kMiB, 2), "the arena holds a batch per worker");
}

/// An arena of two workers with four chunks each, and the pool of the second worker: addresses of
/// the first would show as too low.
class Pool : public testing::Test {
 protected:
  static constexpr std::size_t kChunks = 4;

  Pool() : arena_(make()), pool_(arena_, 1) {}

  static Arena make() {
    ArenaPlan plan;
    plan.workers = 2;
    plan.chunks_per_worker = kChunks;
    plan.bytes_per_worker = kLandingBuffers * kLandingBytes + kChunks * kChunkBytes;
    return std::move(*Arena::create(plan));
  }
  Frame& land(std::uint32_t len) { return pool_.wrap_landing(pool_.take_landing(), len); }

  Arena arena_;
  FramePool pool_;
};

TEST_F(Pool, LendsEveryBufferOnceAndNoneTwice) {
  std::set<std::uint64_t> landings;
  while (pool_.has_landing()) landings.insert(pool_.take_landing().value);
  EXPECT_EQ(landings.size(), kLandingBuffers);
  EXPECT_GE(*landings.begin(), arena_.landing(1, 0).value);
  std::set<std::uint64_t> chunks;
  while (const Frame* frame = pool_.take_chunk()) chunks.insert(frame->addr.value);
  EXPECT_EQ(chunks.size(), kChunks);
  EXPECT_LT(*chunks.rbegin() + kChunkFrameBytes, 2 * arena_.plan().bytes_per_worker + 1);
}

TEST_F(Pool, EveryFrameComesHome) {
  std::vector<Frame*> frames;
  while (pool_.has_landing()) frames.push_back(&land(100));
  while (Frame* frame = pool_.take_chunk()) frames.push_back(frame);
  EXPECT_EQ(pool_.free_frames(), 0U);
  EXPECT_EQ(pool_.landings_held(), kLandingBuffers);
  for (Frame* frame : frames) pool_.release(*frame);
  EXPECT_EQ(pool_.free_frames(), arena_.plan().frames_per_worker());
  EXPECT_EQ(pool_.free_chunks(), kChunks);
  EXPECT_EQ(pool_.landings_held(), 0U);
  EXPECT_TRUE(pool_.has_landing());
}

TEST_F(Pool, LendsFramesWithoutMemoryOfTheirLastLife) {
  Frame* frame = pool_.take_chunk();
  frame->meta.mark = 7;
  pool_.release(*frame);
  EXPECT_EQ(pool_.take_chunk()->meta.mark, 0U);
}

TEST_F(Pool, ParksAFrameWithItsBytesAndFreesTheLandingBuffer) {
  Frame& frame = pool_.wrap_landing({pool_.take_landing().value + 10}, kChunkFrameBytes);
  std::memset(arena_.bytes_of(frame), 0x5a, frame.len);
  const FrameAddr before = frame.addr;
  ASSERT_TRUE(pool_.park(frame));
  EXPECT_NE(frame.addr, before);
  EXPECT_EQ(frame.buffer, Buffer::chunk);
  EXPECT_EQ(arena_.bytes_of(frame)[frame.len - 1], std::byte{0x5a});
  EXPECT_EQ(pool_.landings_held(), 0U);
  EXPECT_EQ(pool_.free_chunks(), kChunks - 1);
  EXPECT_FALSE(pool_.park(frame)) << "it is parked already";
  pool_.release(frame);
  EXPECT_EQ(pool_.free_chunks(), kChunks);
}

TEST_F(Pool, ParksALongFrameInSeveralChunks) {
  constexpr std::uint32_t kBytes = 2 * kChunkFrameBytes + 1;
  Frame& frame = land(kBytes);
  for (std::uint32_t i = 0; i < kBytes; ++i)
    arena_.bytes_of(frame)[i] = static_cast<std::byte>(i % 251);
  ASSERT_TRUE(pool_.park(frame));
  EXPECT_EQ(pool_.landings_held(), 0U);
  EXPECT_EQ(pool_.free_chunks(), kChunks - 3);
  EXPECT_EQ(frame.len, kBytes);
  EXPECT_EQ(frame.frags, 2U);
  std::uint32_t at = 0;
  const auto expect_bytes = [&](const Frame& piece, std::uint32_t bytes) {
    for (std::uint32_t i = 0; i < bytes; ++i, ++at)
      ASSERT_EQ(arena_.bytes_of(piece)[i], static_cast<std::byte>(at % 251)) << "byte " << at;
  };
  expect_bytes(frame, frame.linear_bytes());
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
    expect_bytes(*piece, piece->len);
  EXPECT_EQ(at, kBytes);
  pool_.release(frame);
  EXPECT_EQ(pool_.free_chunks(), kChunks);
}

TEST_F(Pool, LeavesAFrameWhereItIsWhenNoChunkFits) {
  Frame& long_frame = land(kMaxParkedBytes + 1);
  EXPECT_FALSE(pool_.park(long_frame));
  while (pool_.take_chunk() != nullptr) {
  }
  Frame& frame = land(60);
  const FrameAddr before = frame.addr;
  EXPECT_FALSE(pool_.park(frame));
  EXPECT_EQ(frame.addr, before);
  EXPECT_EQ(pool_.landings_held(), 2U);
}

/// A fork does not get the arena: the one that dies makes its own.
class PoolDeathTest : public Pool {
 protected:
  PoolDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(PoolDeathTest, AbortsOnADoubleFree) {
  Frame* frame = pool_.take_chunk();
  pool_.release(*frame);
  EXPECT_DEATH(pool_.release(*frame), "a frame is freed once");
}

TEST_F(PoolDeathTest, AbortsOnAFrameThatAQueueHolds) {
  Frame* frame = pool_.take_chunk();
  FrameList list(Holder::endpoint);
  list.push(*frame);
  EXPECT_DEATH(pool_.release(*frame), "a frame is freed once");
}

TEST_F(PoolDeathTest, AbortsOnAnotherWorkersFrame) {
  FramePool other(arena_, 0);
  Frame* frame = other.take_chunk();
  EXPECT_DEATH(pool_.release(*frame), "a frame comes home to its own pool");
}

TEST(Chain, GathersThePayloadOfFragmentsAndComesHomeWithThem) {
  const auto arena = Arena::create(plan_arena(16 * kMiB, 1));
  ASSERT_TRUE(arena);
  FramePool pool(*arena, 0);
  const std::size_t frames = pool.free_frames();
  const std::size_t chunks = pool.free_chunks();
  Frame& head = pool.wrap_landing({pool.take_landing().value + 10}, 1514);
  for (int i = 0; i < 2; ++i) {
    Frame& fragment = *pool.take_chunk();
    fragment.len = 554;
    chain(head, fragment, 54);
    EXPECT_EQ(fragment.holder, Holder::fragment);
    EXPECT_EQ(fragment.len, 500U);
  }
  EXPECT_EQ(head.len, 2514U);
  EXPECT_EQ(head.linear_bytes(), 1514U);
  EXPECT_EQ(head.frags, 2U);
  EXPECT_TRUE(pool.park(head));
  pool.release(head);
  EXPECT_EQ(pool.free_frames(), frames);
  EXPECT_EQ(pool.free_chunks(), chunks);
  EXPECT_EQ(pool.landings_held(), 0U);
  EXPECT_EQ(head.len, 1514U);
  EXPECT_EQ(head.frag_list, nullptr);
}

TEST(ChainDeathTest, TakesOnlyPlainFramesOfTheSameHome) {
  auto frames = frames_in_hand(3);
  chain(frames[0], frames[1], 0);
  EXPECT_DEATH(chain(frames[2], frames[0], 0), "only plain frames merge");
  frames[2].home = 1;
  EXPECT_DEATH(chain(frames[0], frames[2], 0), "a chain comes home as one");
}

}  // namespace
}  // namespace vethd

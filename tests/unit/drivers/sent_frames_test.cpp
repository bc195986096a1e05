// What an AF_XDP socket sends, until the completion ring gives it back.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "drivers/af_xdp/sent_frames.hpp"

namespace vethd {
namespace {

constexpr ArenaPlan kPlan{
    .workers = 1, .chunks_per_worker = 8, .bytes_per_worker = 8 * kChunkBytes};

Frame frame_at(std::uint64_t addr, std::uint32_t len) {
  Frame frame;
  frame.addr = {addr};
  frame.len = len;
  frame.holder = Holder::in_hand;
  return frame;
}

FrameAddr end_of(const Frame& frame) { return {frame.addr.value + frame.len}; }

TEST(SentFrames, GivesBackByAnyAddressInTheChunkAndInAnyOrder) {
  SentFrames sent(kPlan);
  Frame first = frame_at(256, 60);
  Frame second = frame_at(3 * kChunkBytes + 256, kChunkFrameBytes);  // to the last byte of it
  sent.push(first, end_of(first));
  sent.push(second, end_of(second));
  EXPECT_EQ(sent.size(), 2U);
  EXPECT_EQ(first.holder, Holder::pending_write);
  EXPECT_EQ(sent.take({2 * kChunkBytes}), nullptr);
  EXPECT_EQ(sent.take({4 * kChunkBytes}), nullptr) << "the chunk behind it";
  EXPECT_EQ(sent.take({3 * kChunkBytes}), &second);
  EXPECT_EQ(second.holder, Holder::in_hand);
  EXPECT_EQ(sent.take({3 * kChunkBytes}), nullptr) << "once";
  EXPECT_EQ(sent.take({256}), &first);
  EXPECT_EQ(sent.size(), 0U);
}

TEST(SentFrames, WhatIsSentInPiecesEndsWithItsLast) {
  SentFrames sent(kPlan);
  Frame frame = frame_at(0, 2 * kChunkBytes + 1);
  sent.push(frame, end_of(frame));
  EXPECT_EQ(sent.take({0}), nullptr);
  EXPECT_EQ(sent.take({kChunkBytes}), nullptr);
  EXPECT_EQ(sent.take({2 * kChunkBytes}), &frame);
}

TEST(SentFrames, ShowsAndDrainsAllThereIs) {
  SentFrames sent(kPlan);
  std::vector<Frame> frames;
  for (const std::uint64_t page : {7, 0, 4}) frames.push_back(frame_at(page * kChunkBytes, 100));
  std::set<const Frame*> there;
  for (Frame& frame : frames) {
    sent.push(frame, end_of(frame));
    there.insert(&frame);
  }
  std::set<const Frame*> seen;
  sent.for_each([&](const Frame& frame) { seen.insert(&frame); });
  EXPECT_EQ(seen, there);
  sent.drain([&](Frame& frame) {
    EXPECT_EQ(frame.holder, Holder::in_hand);
    EXPECT_EQ(seen.erase(&frame), 1U);
  });
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(sent.size(), 0U);
}

TEST(SentFramesDeathTest, RefusesASecondFrameInTheSamePlace) {
  SentFrames sent(kPlan);
  Frame first = frame_at(256, 60);
  Frame second = frame_at(512, 60);
  sent.push(first, end_of(first));
  EXPECT_DEATH(sent.push(second, end_of(second)), "a frame is sent once");
  EXPECT_DEATH(sent.push(first, end_of(first)), "a frame has one holder");
}

}  // namespace
}  // namespace vethd

#include "daemon/frame/pool.hpp"

#include <cstring>
#include <ranges>

#include "daemon/core/panic.hpp"
#include "daemon/frame/chain.hpp"

namespace vethd {

FramePool::FramePool(const Arena& arena, std::size_t worker) : arena_(arena), worker_(worker) {
  const ArenaPlan& plan = arena.plan();
  frames_.reserve(plan.frames_per_worker());
  landings_.reserve(kLandingBuffers);
  chunks_.reserve(plan.chunks_per_worker);
  // Reversed, so that the first taken is the lowest.
  for (Frame& frame : arena.frames_of(worker) | std::views::reverse) frames_.push_back(&frame);
  for (std::size_t i = kLandingBuffers; i-- > 0;) landings_.push_back(arena.landing(worker, i));
  for (std::size_t i = plan.chunks_per_worker; i-- > 0;) chunks_.push_back(arena.chunk(worker, i));
}

Frame& FramePool::take_frame() {
  invariant(!frames_.empty(), "as many frames as buffers");
  Frame& frame = *frames_.back();
  frames_.pop_back();
  invariant(frame.holder == Holder::pool, "a free frame is free");
  frame.holder = Holder::in_hand;
  frame.meta = FrameMeta{};
  return frame;
}

FrameAddr FramePool::take_landing() {
  invariant(!landings_.empty(), "landing buffers are taken only when there are some");
  const FrameAddr start = landings_.back();
  landings_.pop_back();
  return start;
}

Frame& FramePool::wrap_landing(FrameAddr addr, std::uint32_t len) {
  Frame& frame = take_frame();
  frame.addr = addr;
  frame.len = len;
  frame.buffer = Buffer::landing;
  ++landings_held_;
  return frame;
}

FrameAddr FramePool::take_empty_chunk() {
  invariant(!chunks_.empty(), "chunks are taken only when there are some");
  const FrameAddr start = chunks_.back();
  chunks_.pop_back();
  return start;
}

Frame& FramePool::wrap_chunk(FrameAddr addr, std::uint32_t len) {
  Frame& frame = take_frame();
  frame.addr = addr;
  frame.len = len;
  frame.buffer = Buffer::chunk;
  return frame;
}

Frame* FramePool::take_chunk() {
  if (chunks_.empty()) return nullptr;
  return &wrap_chunk({take_empty_chunk().value + kChunkHeadroom}, 0);
}

bool FramePool::park(Frame& frame) {
  const std::uint32_t bytes = frame.linear_bytes();
  if (frame.buffer != Buffer::landing || bytes > kChunkFrameBytes || chunks_.empty()) return false;
  const FrameAddr target{take_empty_chunk().value + kChunkHeadroom};
  std::memcpy(arena_.at(target), arena_.bytes_of(frame), bytes);
  release_buffer(frame);
  frame.addr = target;
  frame.buffer = Buffer::chunk;
  return true;
}

void FramePool::release_buffer(const Frame& frame) {
  if (frame.buffer == Buffer::landing) {
    return_landing(arena_.landing(worker_, arena_.landing_index(worker_, frame.addr)));
    --landings_held_;
  } else {
    // Partitions and landing buffers are whole pages, so a chunk starts where a page does.
    return_chunk(frame.addr);
  }
}

void FramePool::release(Frame& frame) {
  invariant(frame.home == worker_, "a frame comes home to its own pool");
  invariant(frame.holder == Holder::in_hand, "a frame is freed once");
  while (Frame* fragment = unchain(frame)) release(*fragment);
  release_buffer(frame);
  frame.buffer = Buffer::none;
  frame.coalesced = false;
  frame.holder = Holder::pool;
  frames_.push_back(&frame);
}

}  // namespace vethd

#include "daemon/frame/pool.hpp"

#include <algorithm>
#include <cstring>
#include <ranges>

#include "daemon/core/panic.hpp"
#include "daemon/frame/chain.hpp"

namespace vethd {

FramePool::FramePool(const Arena& arena, std::size_t worker)
    : arena_(arena),
      worker_(worker),
      frames_(arena.plan().frames_per_worker()),
      landings_(kLandingBuffers),
      chunks_(arena.plan().chunks_per_worker) {
  // Reversed, so that the first taken is the lowest.
  for (Frame& frame : arena.frames_of(worker) | std::views::reverse) frames_.push(&frame);
  for (std::size_t i = kLandingBuffers; i-- > 0;) landings_.push(arena.landing(worker, i));
  for (std::size_t i = arena.plan().chunks_per_worker; i-- > 0;)
    chunks_.push(arena.chunk(worker, i));
}

Frame& FramePool::wrap_landing(FrameAddr addr, std::uint32_t len) {
  Frame& frame = take_frame();
  frame.addr = addr;
  frame.len = len;
  frame.buffer = Buffer::landing;
  ++landings_held_;
  return frame;
}

Frame* FramePool::take_chunk() {
  if (chunks_.empty()) return nullptr;
  return &wrap_chunk({take_empty_chunk().value + kChunkHeadroom}, 0);
}

bool FramePool::park(Frame& frame) {
  const std::uint32_t bytes = frame.linear_bytes();
  if (frame.buffer != Buffer::landing || chunks_.empty()) return false;
  if (bytes > kChunkFrameBytes) return park_in_pieces(frame);
  const FrameAddr target{take_empty_chunk().value + kChunkHeadroom};
  std::memcpy(arena_.at(target), arena_.bytes_of(frame), bytes);
  release_landing(frame);
  frame.addr = target;
  frame.buffer = Buffer::chunk;
  return true;
}

bool FramePool::park_in_pieces(Frame& frame) {
  const std::uint32_t bytes = frame.len;
  const std::size_t needed = (bytes + kChunkFrameBytes - 1) / kChunkFrameBytes;
  if (frame.frags != 0 || bytes > kMaxParkedBytes || chunks_.size() < needed) return false;
  const std::byte* const from = arena_.bytes_of(frame);
  const FrameAddr head{take_empty_chunk().value + kChunkHeadroom};
  std::memcpy(arena_.at(head), from, kChunkFrameBytes);
  release_landing(frame);  // its bytes stay until the buffer is lent again
  frame.addr = head;
  frame.len = kChunkFrameBytes;
  frame.buffer = Buffer::chunk;
  for (std::uint32_t done = kChunkFrameBytes; done < bytes;) {  // ends: needed - 1 pieces
    Frame& piece = *take_chunk();
    piece.len = std::min(bytes - done, static_cast<std::uint32_t>(kChunkFrameBytes));
    std::memcpy(arena_.bytes_of(piece), from + done, piece.len);
    done += piece.len;
    chain(frame, piece, 0);
  }
  return true;
}

void FramePool::release_fragments(Frame& frame) {
  while (Frame* fragment = unchain(frame)) release(*fragment);
}

void FramePool::release_landing(const Frame& frame) {
  return_landing(arena_.landing(worker_, arena_.landing_index(worker_, frame.addr)));
  --landings_held_;
}

}  // namespace vethd

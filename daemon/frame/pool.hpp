// The free frames of one worker.
#pragma once

#include <cstddef>

#include "daemon/core/panic.hpp"
#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"
#include "daemon/frame/stack.hpp"

namespace vethd {

// A jumbo frame of 9216 bytes and more; not a super-frame, which would be a copy of 64 KiB.
constexpr std::size_t kMaxParkedBytes = 4 * kChunkFrameBytes;

/// Lends frames with memory behind them, and takes them back.
///
/// Shape    as many frames as buffers: a frame never lacks a descriptor.
/// Threads  one owner, the worker whose partition it is. Other workers send frames home first.
/// Never    allocates after construction.
class FramePool {
 public:
  FramePool(const Arena& arena, std::size_t worker);

  [[nodiscard]] const Arena& arena() const { return arena_; }
  [[nodiscard]] std::size_t worker() const { return worker_; }

  /// A landing buffer for the kernel to read into.
  [[nodiscard]] bool has_landing() const { return !landings_.empty(); }
  FrameAddr take_landing() { return landings_.pop(); }
  void return_landing(FrameAddr start) { landings_.push(start); }
  /// Landing buffers with a frame in them.
  [[nodiscard]] std::size_t landings_held() const { return landings_held_; }

  /// A frame over bytes the kernel has just put into a landing buffer taken before.
  Frame& wrap_landing(FrameAddr addr, std::uint32_t len);

  /// A chunk for a device to receive into.
  [[nodiscard]] bool has_chunk() const { return !chunks_.empty(); }
  FrameAddr take_empty_chunk() { return chunks_.pop(); }
  /// addr: anywhere in it.
  void return_chunk(FrameAddr addr) { chunks_.push(start_of_chunk(addr)); }
  /// A frame over bytes that a device has just put into a chunk taken before.
  Frame& wrap_chunk(FrameAddr addr, std::uint32_t len);

  /// A frame with an empty chunk, or nullptr when the arena is exhausted.
  Frame* take_chunk();

  /// Moves a frame from its landing buffer into a chunk, so that the buffer can be read into again
  /// while the frame waits; a long one into several, the first with the headers. False if it is
  /// longer than kMaxParkedBytes or chunks are lacking; it stays where it is.
  bool park(Frame& frame);

  /// Takes back a frame of this worker, the fragments on its chain, and their memory.
  void release(Frame& frame);

  [[nodiscard]] std::size_t free_frames() const { return frames_.size(); }
  [[nodiscard]] std::size_t free_chunks() const { return chunks_.size(); }

 private:
  /// Partitions and landing buffers are whole pages, so a chunk starts where a page does.
  static FrameAddr start_of_chunk(FrameAddr addr) {
    return {addr.value / kChunkBytes * kChunkBytes};
  }
  Frame& take_frame();
  bool park_in_pieces(Frame& frame);
  void release_fragments(Frame& frame);
  void release_landing(const Frame& frame);

  const Arena& arena_;
  std::size_t worker_;
  FreeStack<Frame*> frames_;
  FreeStack<FrameAddr> landings_;
  FreeStack<FrameAddr> chunks_;
  std::size_t landings_held_ = 0;
};

// Inline: what every frame passes.

inline Frame& FramePool::take_frame() {
  Frame& frame = *frames_.pop();  // there are as many as buffers
  invariant(frame.holder == Holder::pool, "a free frame is free");
  frame.holder = Holder::in_hand;
  frame.meta = FrameMeta{};
  return frame;
}

inline Frame& FramePool::wrap_chunk(FrameAddr addr, std::uint32_t len) {
  Frame& frame = take_frame();
  frame.addr = addr;
  frame.len = len;
  frame.buffer = Buffer::chunk;
  return frame;
}

inline void FramePool::release(Frame& frame) {
  invariant(frame.home == worker_, "a frame comes home to its own pool");
  invariant(frame.holder == Holder::in_hand, "a frame is freed once");
  if (frame.frag_list != nullptr) [[unlikely]]
    release_fragments(frame);
  if (frame.buffer == Buffer::landing)
    release_landing(frame);
  else
    return_chunk(frame.addr);
  frame.buffer = Buffer::none;
  frame.coalesced = false;
  frame.holder = Holder::pool;
  frames_.push(&frame);
}

}  // namespace vethd

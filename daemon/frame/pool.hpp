// The free frames of one worker.
#pragma once

#include <cstddef>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

/// Lends frames with memory behind them, and takes them back.
///
/// Shape    last in, first out, so that the same few cache lines are used again. As many frames as
///          buffers: a frame never lacks a descriptor.
/// Threads  one owner, the worker whose partition it is. Other workers send frames home first.
/// Never    allocates after construction.
class FramePool {
 public:
  FramePool(const Arena& arena, std::size_t worker);

  [[nodiscard]] const Arena& arena() const { return arena_; }
  [[nodiscard]] std::size_t worker() const { return worker_; }

  /// A landing buffer for the kernel to read into.
  [[nodiscard]] bool has_landing() const { return !landings_.empty(); }
  FrameAddr take_landing();
  void return_landing(FrameAddr start) { landings_.push_back(start); }
  /// Landing buffers with a frame in them.
  [[nodiscard]] std::size_t landings_held() const { return landings_held_; }

  /// A frame over bytes the kernel has just put into a landing buffer taken before.
  Frame& wrap_landing(FrameAddr addr, std::uint32_t len);

  /// A chunk for a device to receive into.
  [[nodiscard]] bool has_chunk() const { return !chunks_.empty(); }
  FrameAddr take_empty_chunk();
  /// addr: anywhere in it.
  void return_chunk(FrameAddr addr) { chunks_.push_back({addr.value / kChunkBytes * kChunkBytes}); }
  /// A frame over bytes that a device has just put into a chunk taken before.
  Frame& wrap_chunk(FrameAddr addr, std::uint32_t len);

  /// A frame with an empty chunk, or nullptr when the arena is exhausted.
  Frame* take_chunk();

  /// Moves a frame from its landing buffer into a chunk, so that the buffer can be read into again
  /// while the frame waits. False if it is too long for one or none is free; it stays where it is.
  bool park(Frame& frame);

  /// Takes back a frame of this worker, the fragments on its chain, and their memory.
  void release(Frame& frame);

  [[nodiscard]] std::size_t free_frames() const { return frames_.size(); }
  [[nodiscard]] std::size_t free_chunks() const { return chunks_.size(); }

 private:
  Frame& take_frame();
  void release_buffer(const Frame& frame);

  const Arena& arena_;
  std::size_t worker_;
  std::vector<Frame*> frames_;
  std::vector<FrameAddr> landings_;
  std::vector<FrameAddr> chunks_;
  std::size_t landings_held_ = 0;
};

}  // namespace vethd

// The frames an AF_XDP socket is sending.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "daemon/core/panic.hpp"
#include "daemon/frame/arena.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

/// Holds frames from the tx ring to the completion ring, which may give them back in another order.
///
/// Shape  by page of the arena: a frame is known by the one its last byte is in. An address that
///        completes elsewhere is a piece of a frame that is not all sent yet.
class SentFrames {
 public:
  explicit SentFrames(const ArenaPlan& plan) : by_page_(plan.bytes() / kChunkBytes, nullptr) {}

  [[nodiscard]] std::size_t size() const { return size_; }

  /// Takes the frame from whoever has it in hand. end: behind its last byte.
  void push(Frame& frame, FrameAddr end) {
    invariant(frame.holder == Holder::in_hand, "a frame has one holder");
    Frame*& here = by_page_[page_of({end.value - 1})];
    invariant(here == nullptr, "a frame is sent once");
    frame.holder = Holder::pending_write;
    here = &frame;
    ++size_;
  }

  /// Hands out the frame that ends where a completed descriptor lies, or nullptr.
  Frame* take(FrameAddr completed) {
    Frame* const frame = std::exchange(by_page_[page_of(completed)], nullptr);
    if (frame == nullptr) return nullptr;
    invariant(frame->holder == Holder::pending_write, "a frame is where it says it is");
    frame->holder = Holder::in_hand;
    --size_;
    return frame;
  }

  /// Hands out everything, in no order, to take(Frame&).
  template <class Take>
  void drain(Take&& take) {
    for (Frame*& here : by_page_) {
      if (here == nullptr) continue;
      here->holder = Holder::in_hand;
      --size_;
      take(*std::exchange(here, nullptr));
    }
  }

  /// Calls visit(const Frame&), in no order. Looks at every page.
  template <class Visit>
  void for_each(Visit&& visit) const {
    std::size_t left = size_;
    for (std::size_t page = 0; left > 0; ++page) {
      if (by_page_[page] == nullptr) continue;
      visit(std::as_const(*by_page_[page]));
      --left;
    }
  }

 private:
  static std::size_t page_of(FrameAddr addr) { return addr.value / kChunkBytes; }

  std::vector<Frame*> by_page_;
  std::size_t size_ = 0;
};

}  // namespace vethd

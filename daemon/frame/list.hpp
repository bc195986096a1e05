// A queue of frames, linked through the frames themselves as sk_buff_head is: no allocation, no
// capacity, splicing costs nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

/// Holds frames first in, first out, and says so on each of them.
///
/// Shape    bounded by the frames that exist: the arena's, a fixed number.
/// Threads  one owner.
class FrameList {
 public:
  explicit FrameList(Holder holder) : holder_(holder) {}
  FrameList(FrameList&& other) noexcept
      : holder_(other.holder_),
        head_(std::exchange(other.head_, nullptr)),
        tail_(std::exchange(other.tail_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  FrameList& operator=(FrameList&&) = delete;
  FrameList(const FrameList&) = delete;
  FrameList& operator=(const FrameList&) = delete;
  ~FrameList() = default;

  [[nodiscard]] Holder holder() const { return holder_; }
  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const Frame* front() const { return head_; }
  [[nodiscard]] Frame* back() { return tail_; }

  /// Takes the frame from whoever has it in hand.
  void push(Frame& frame) {
    invariant(frame.holder == Holder::in_hand, "a frame has one holder");
    frame.holder = holder_;
    frame.next = nullptr;
    frame.prev = tail_;
    (tail_ != nullptr ? tail_->next : head_) = &frame;
    tail_ = &frame;
    ++size_;
  }

  /// The same, in front of all others.
  void push_front(Frame& frame) {
    FrameList rest(std::move(*this));
    push(frame);
    splice(rest);
  }

  /// Hands out the oldest frame, or nullptr.
  Frame* pop() {
    Frame* const frame = head_;
    if (frame == nullptr) return nullptr;
    invariant(frame->holder == holder_, "a frame is where it says it is");
    head_ = frame->next;
    (head_ != nullptr ? head_->prev : tail_) = nullptr;
    frame->holder = Holder::in_hand;
    --size_;
    return frame;
  }

  /// Hands out a frame from anywhere in the list.
  void remove(Frame& frame) {
    invariant(frame.holder == holder_, "a frame is where it says it is");
    (frame.prev != nullptr ? frame.prev->next : head_) = frame.next;
    (frame.next != nullptr ? frame.next->prev : tail_) = frame.prev;
    frame.holder = Holder::in_hand;
    --size_;
  }

  /// Appends everything of another list, which is then empty.
  void splice(FrameList& other) { splice(other, other.size_); }

  /// Appends the oldest frames of another list, `count` or all it has; returns how many.
  std::size_t splice(FrameList& other, std::size_t count) {
    count = std::min(count, other.size_);
    if (count == 0) return 0;
    const Holder from = other.holder_;
    const Holder to = holder_;
    Frame* last = other.tail_;
    if (from != to || count < other.size_) {
      Frame* next = other.head_;
      for (std::size_t i = 0; i < count; ++i) {
        last = next;
        invariant(last->holder == from, "a frame is where it says it is");
        last->holder = to;
        next = last->next;
      }
    }
    take_head(other, last, count);
    return count;
  }

  /// Appends the oldest frames of another list of the same holder as long as match(frame) is true.
  template <class Match>
  void splice_while(FrameList& other, Match&& match) {
    invariant(other.holder_ == holder_, "frames stay with the holder they name");
    Frame* last = nullptr;
    std::size_t count = 0;
    for (Frame* frame = other.head_; frame != nullptr && match(std::as_const(*frame));
         frame = frame->next) {
      last = frame;
      ++count;
    }
    if (last != nullptr) take_head(other, last, count);
  }

  /// Hands out everything, oldest first, to take(Frame&); for less than pop() of each costs.
  template <class Take>
  void drain(Take&& take) {
    const Holder from = holder_;
    Frame* frame = std::exchange(head_, nullptr);
    tail_ = nullptr;
    size_ = 0;
    while (frame != nullptr) {
      invariant(frame->holder == from, "a frame is where it says it is");
      Frame* const following = frame->next;
      frame->holder = Holder::in_hand;
      take(*frame);
      frame = following;
    }
  }

  /// Calls visit(const Frame&) oldest first.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Frame* frame = head_; frame != nullptr; frame = frame->next) visit(*frame);
  }
  template <class Visit>
  void for_each(Visit&& visit) {
    for (Frame* frame = head_; frame != nullptr; frame = frame->next) visit(*frame);
  }

  /// Takes out and passes on every frame that matches, keeping the order of the rest.
  template <class Match, class Take>
  void take_if(Match&& match, Take&& take) {
    for (Frame* frame = head_; frame != nullptr;) {
      Frame* const following = frame->next;
      if (match(*frame)) {
        remove(*frame);
        take(*frame);
      }
      frame = following;
    }
  }

 private:
  /// The first `count` frames of another list, of which `last` is the last.
  void take_head(FrameList& other, Frame* last, std::size_t count) {
    Frame* const first = other.head_;
    Frame* const rest = last->next;
    first->prev = tail_;
    (tail_ != nullptr ? tail_->next : head_) = first;
    tail_ = last;
    last->next = nullptr;
    other.head_ = rest;
    (rest != nullptr ? rest->prev : other.tail_) = nullptr;
    other.size_ -= count;
    size_ += count;
  }

  Holder holder_;
  Frame* head_ = nullptr;
  Frame* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vethd

// Free things: last in, first out, so that the same few cache lines are used again.
#pragma once

#include <cstddef>
#include <memory>

#include "daemon/core/panic.hpp"

namespace vethd {

/// Shape  as many places as there are things.
/// Never  allocates after construction.
template <class T>
class FreeStack {
 public:
  explicit FreeStack(std::size_t capacity)
      : items_(std::make_unique<T[]>(capacity)), capacity_(capacity) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  void push(T item) {
    invariant(size_ < capacity_, "no more is freed than there is");
    items_[size_++] = item;
  }
  T pop() {
    invariant(size_ > 0, "it is looked first whether there is one");
    return items_[--size_];
  }

 private:
  std::unique_ptr<T[]> items_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

}  // namespace vethd

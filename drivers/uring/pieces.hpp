// Lists of pieces for gathering writes.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <deque>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/chain.hpp"

namespace vethd {

/// The kernel copies a list when its write is submitted; until then it stays here.
///
/// Shape  at most one for each entry of the submission queue; made when first needed, kept.
class Pieces {
 public:
  /// Those of a merged frame, the first from `start` on: frame.frags + 1 of them.
  const iovec* gather(const Frame& frame, const Arena& arena, std::byte* start) {
    if (used_ == lists_.size()) lists_.emplace_back();
    List& list = lists_[used_++];
    std::size_t count = 0;
    list[count++] = {
        start, static_cast<std::size_t>(arena.bytes_of(frame) - start) + frame.linear_bytes()};
    for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
      list[count++] = {arena.bytes_of(*piece), piece->len};
    return list.data();
  }
  /// All have been submitted.
  void clear() { used_ = 0; }

 private:
  using List = std::array<iovec, kMaxFragments + 1>;
  std::deque<List> lists_;  // which never moves what it has
  std::size_t used_ = 0;
};

}  // namespace vethd

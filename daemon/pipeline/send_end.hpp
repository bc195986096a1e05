// Where a sender's send ends, for a receiver that merges what one poll finds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/pipeline/headers.hpp"
#include "daemon/pipeline/merge.hpp"

namespace vethd {

/// On a veth the poll comes when the sending stack enables bottom halves again, behind the last
/// frame of a send, which is a whole super-frame where the device does no TSO. Here frames come in
/// while a send goes on, and one behind the other lie those of many. So a send counts as ended once
/// a look has brought nothing more, and no batch has more frames than one send can have.
///
/// Emulates  net/core/dev.c: __dev_queue_xmit() with validate_xmit_skb_list(): what happens before
///           rcu_read_unlock_bh().
/// Threads   one owner.
class SendEnd {
 public:
  /// Of the frames that wait, how many go on now; 0: none before another look. Two looks in a row
  /// that find the same frames end it, so nothing waits for long.
  ///
  /// Shape  waiting: not empty; most: as many go on at once, and do so without another look.
  std::size_t batch(const FrameList& waiting, std::size_t most, const Arena& arena) {
    const bool more = waiting.size() > seen_;
    if (waiting.size() < most && (more || !looked_)) {
      seen_ = waiting.size();
      looked_ = true;
      return 0;
    }
    const std::size_t frames = std::min(most, frames_of_a_send(waiting, arena));
    seen_ = waiting.size() - frames;
    looked_ = false;
    return frames;
  }

 private:
  /// As many as a super-frame of GSO_LEGACY_MAX_SIZE is segmented into. Only TCP is segmented.
  static std::size_t frames_of_a_send(const FrameList& waiting, const Arena& arena) {
    const Frame* const first = waiting.front();
    const auto headers = find_headers(arena.bytes_of(*first), first->linear_bytes());
    if (!headers || !headers->tcp) return waiting.size();
    std::uint32_t bytes = headers->payload - headers->l3;
    std::size_t frames = 0;
    for (const Frame* frame = first; frame != nullptr; frame = frame->next, ++frames) {
      if (frame->len > headers->payload) bytes += frame->len - headers->payload;
      if (bytes > kMaxNetworkBytes && frames > 0) break;
    }
    return frames;
  }

  std::size_t seen_ = 0;  // that waited at the last look
  bool looked_ = false;   // since the last batch
};

}  // namespace vethd

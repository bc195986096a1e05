#include "daemon/pipeline/coalesce.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/headers.hpp"
#include "daemon/pipeline/merge.hpp"

namespace vethd {
namespace {

/// The frame to be written next, as long as others may join it.
class Pending {
 public:
  Pending(bool udp, const Arena& arena, FrameList& out) : udp_(udp), arena_(arena), out_(out) {}

  void offer(Frame& frame) {
    const auto headers = headers_of(frame);
    if (headers && join(frame, *headers)) return;
    close();
    group_ = Group(Candidate{.frame = &frame, .headers = headers.value_or(Headers{})});
    state_ = headers ? State::unexamined : State::alone;
    merged_ = false;
  }

  void close() {
    if (state_ == State::none) return;
    Frame& frame = group_.frame();
    if (merged_) {
      group_.complete(arena_);
      frame.coalesced = true;
    }
    out_.push(frame);
    state_ = State::none;
  }

 private:
  enum class State : std::uint8_t {
    none,
    unexamined,  // checksums cost time: they are looked at when a frame of the same flow comes
    open,        // may be joined
    alone        // nothing can join, or nothing more
  };

  [[nodiscard]] std::optional<Headers> headers_of(const Frame& frame) const {
    if (frame.meta.gso_type != 0 || frame.frags != 0) return std::nullopt;
    auto headers = find_headers(arena_.bytes_of(frame), frame.len);
    if (headers && !headers->tcp && !udp_) return std::nullopt;
    return headers;
  }

  bool join(Frame& frame, const Headers& headers) {
    if (state_ == State::none || state_ == State::alone) return false;
    const Candidate next{.frame = &frame, .headers = headers};
    if (!broken(Stage::coalesce) && !group_.same_flow(next, arena_)) return false;
    if (state_ == State::unexamined) state_ = can_start() ? State::open : State::alone;
    if (state_ == State::alone) return false;
    const auto candidate = examine(frame, arena_.bytes_of(frame), headers);
    if (!candidate) return false;
    const Group::Join joined = group_.join(*candidate, kCoalesceRules, arena_);
    if (joined == Group::Join::closed) state_ = State::alone;
    if (joined == Group::Join::refused) return false;
    merged_ = true;
    return true;
  }

  [[nodiscard]] bool can_start() const {
    Frame& first = group_.frame();
    const auto candidate = examine(first, arena_.bytes_of(first), group_.headers());
    return candidate && Group::can_start(*candidate, arena_);
  }

  bool udp_;  // may be merged, too
  const Arena& arena_;
  FrameList& out_;
  Group group_;
  State state_ = State::none;
  bool merged_ = false;  // a frame of several pieces has fragments without that
};

}  // namespace

void coalesce(FrameList& leaving, const Device& sender, const Device& receiver,
              const Arena& arena) {
  const Merge allowed = std::min(sender.coalesce, receiver.takes_merged);
  if (allowed == Merge::none || leaving.size() < 2 || receiver.gro || receiver.has_xdp) return;
  FrameList frames(std::move(leaving));
  Pending pending(allowed == Merge::tcp_and_udp, arena, leaving);
  while (Frame* frame = frames.pop()) pending.offer(*frame);
  pending.close();
}

}  // namespace vethd

// Frames merged into one: the first has the headers, the others give their payload.
#pragma once

#include <cstdint>

#include "daemon/core/panic.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

// Fragments a frame can have: as many as one writev() can gather with the frame itself, with room
// to spare below IOV_MAX, and a whole poll of NAPI_POLL_WEIGHT frames.
constexpr std::uint16_t kMaxFragments = 63;

/// Appends the payload of `fragment`, which starts `header_bytes` into it. Both are in hand; the
/// fragment is the frame's from here on.
inline void chain(Frame& frame, Frame& fragment, std::uint32_t header_bytes) {
  invariant(fragment.holder == Holder::in_hand && fragment.frags == 0, "only plain frames merge");
  invariant(frame.frags < kMaxFragments, "a chain has a bound");
  invariant(frame.home == fragment.home, "a chain comes home as one");
  fragment.addr.value += header_bytes;
  fragment.len -= header_bytes;
  fragment.holder = Holder::fragment;
  fragment.next = nullptr;
  (frame.frag_last != nullptr ? frame.frag_last->next : frame.frag_list) = &fragment;
  frame.frag_last = &fragment;
  frame.frag_bytes += fragment.len;
  frame.len += fragment.len;
  ++frame.frags;
}

/// Takes the first fragment off, or nullptr. What is left is no valid packet; for freeing.
inline Frame* unchain(Frame& frame) {
  Frame* const fragment = frame.frag_list;
  if (fragment == nullptr) return nullptr;
  frame.frag_list = fragment->next;
  if (frame.frag_list == nullptr) frame.frag_last = nullptr;
  frame.frag_bytes -= fragment->len;
  frame.len -= fragment->len;
  --frame.frags;
  fragment->holder = Holder::in_hand;
  return fragment;
}

}  // namespace vethd

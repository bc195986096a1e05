#include "drivers/af_xdp/xsk_queue.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/frame/chain.hpp"

namespace vethd {
namespace {

// Frames taken out of the rings at a time: as many as a driver's poll puts in.
constexpr std::size_t kCollectBatch = 64;
// All a ring of the default size has: a super-frame alone may leave as 45 frames.
constexpr std::size_t kCompleteBatch = 2048;

// What one kick sends in copy mode: TX_BATCH_SIZE of net/xdp/xsk.c.
constexpr std::size_t kTxBatch = 32;
// For a whole ring of the default size at once; the end of each asks for more.
constexpr std::uint32_t kMaxKicks = 64;

// Descriptors of a frame: MAX_SKB_FRAGS and the head, what copy mode can put together.
constexpr std::uint32_t kMaxDescriptors = 18;

}  // namespace

XskQueue::XskQueue(UringShared& io, const EndpointSetup& setup, std::uint16_t file_slot,
                   std::uint32_t serial)
    : UringQueue(io, setup, file_slot, serial),
      xsk_(*setup.xsk),
      sent_(io.pool.arena().plan()),
      lent_(io.pool.arena().plan().bytes() / kChunkBytes, 0) {
  for (const FrameAddr chunk : xsk_.first_chunks()) lent_[chunk.value / kChunkBytes] = 1;
  fill();
}

void XskQueue::start_reading() {
  reading_ = true;
  if (!polling_) arm();
}

void XskQueue::stop_reading() {
  reading_ = false;
  if (!polling_) return;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_cancel64(&sqe, user_data(Op::read), 0);
  sqe.user_data = user_data(Op::cancel);
}

void XskQueue::arm() {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_poll_multishot(&sqe, slot, POLLIN);
  sqe.flags |= IOSQE_FIXED_FILE;
  sqe.user_data = user_data(Op::read);
  polling_ = true;
}

void XskQueue::complete(const Completion& completion, const io_uring_cqe& cqe) {
  switch (completion.op) {
    case Op::read:  // collect() looks into the ring whatever woke us
      if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
      polling_ = false;
      if (reading_) arm();
      return;
    case Op::kick:
      --kicks_;
      // A part may be left: with EAGAIN, with EBUSY behind a frame that the device has dropped, or
      // without a word. Other errors mean that the device is not ready; UringIo asks again later.
      if (cqe.res >= 0 || cqe.res == -EAGAIN || cqe.res == -EBUSY) kick_again();
      return;
    case Op::call:  // the device is down
      refused_ = true;
      return;
    default:
      invariant(completion.op == Op::cancel, "a socket is polled, called, and polls are cancelled");
  }
}

bool XskQueue::collect() {
  if (abandoned_) return false;
  std::size_t seen = complete();
  if (reading_ && arrived().size() < kCollectBatch) seen += receive();
  return seen != 0;
}

std::size_t XskQueue::complete() {
  FrameList sent(Holder::written);
  const std::size_t seen = xsk_.complete(kCompleteBatch, [&](FrameAddr addr) {
    Frame* const frame = sent_.take(addr);
    if (frame == nullptr) return;
    frame->write_error = 0;
    sent.push(*frame);
  });
  io_.written.splice(sent);
  return seen;
}

std::size_t XskQueue::receive() {
  FrameList received(Holder::endpoint);
  const std::size_t seen =
      xsk_.receive(kCollectBatch, [&](FrameAddr addr, std::uint32_t len, bool continues) {
        if (continues || assembling_ != nullptr) [[unlikely]]
          return receive_piece(addr, len, continues, received);
        received.push(take(addr, len));
      });
  if (received.empty()) return seen;
  refused_ = false;
  if (!has_arrivals()) io_.ready.push_back(this);
  arrived().splice(received);
  return seen;
}

inline Frame& XskQueue::take(FrameAddr addr, std::uint32_t len) {
  lent_[addr.value / kChunkBytes] = 0;
  // The kernel has written it, the path reads it next: one miss a frame, but for this.
  __builtin_prefetch(io_.pool.arena().at(addr));
  Frame& frame = io_.pool.wrap_chunk(addr, len);
  frame.path = path();
  frame.meta.queue_mapping = queue().value;
  return frame;
}

void XskQueue::receive_piece(FrameAddr addr, std::uint32_t len, bool continues,
                             FrameList& received) {
  Frame& piece = take(addr, len);
  if (assembling_ == nullptr)
    assembling_ = &piece;
  else
    chain(*assembling_, piece, 0);
  if (!continues) received.push(*std::exchange(assembling_, nullptr));
}

void XskQueue::fill() {
  if (abandoned_) return;
  const std::size_t room = xsk_.fill_room();
  if (room != 0) fill(room);
  const bool asked_for = room != 0 && xsk_.fill_needs_wakeup();
  if (!asked_for && (!xsk_.drives_napi() || refused_)) return;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_recv(&sqe, slot, nullptr, 0, MSG_DONTWAIT);
  sqe.flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
  sqe.user_data = user_data(Op::call);
}

void XskQueue::fill(std::size_t room) {
  FramePool& pool = io_.pool;
  const std::size_t chunks = std::min(room, pool.free_chunks());
  for (std::size_t i = 0; i < chunks; ++i) {
    const FrameAddr chunk = pool.take_empty_chunk();
    lent_[chunk.value / kChunkBytes] = 1;
    xsk_.fill(chunk);
  }
  xsk_.publish_fill();
  // Frames that come home make it whole again: wake_told() of whoever sends them.
  if (chunks < room && std::ranges::find(io_.starved, this) == io_.starved.end())
    io_.starved.push_back(this);
}

void XskQueue::transmit(FrameList& frames) {
  if (abandoned_) {
    frames.drain([this](Frame& frame) { end(frame, ECANCELED); });
    return;
  }
  const std::size_t before = xsk_.send_room();
  std::size_t room = before;
  frames.drain([&](Frame& frame) {
    const bool in_one_chunk =
        frame.frag_list == nullptr && frame.addr.value % kChunkBytes + frame.len <= kChunkBytes;
    if (!in_one_chunk) [[unlikely]]
      return transmit_pieces(frame, room);
    if (room == 0) return end(frame, ENOSPC);
    --room;
    xsk_.send(frame.addr, frame.len, /*continues=*/false);
    sent_.push(frame, {frame.addr.value + frame.len});
  });
  if (room == before) return;
  xsk_.publish_send();
  if (xsk_.send_needs_wakeup()) kick();
}

/// A descriptor may not cross the end of a chunk; a landing buffer is several in a row.
void XskQueue::transmit_pieces(Frame& frame, std::size_t& room) {
  const auto of = [](FrameAddr addr, std::uint32_t len) {
    return static_cast<std::uint32_t>((addr.value % kChunkBytes + len + kChunkBytes - 1) /
                                      kChunkBytes);
  };
  std::uint32_t needed = of(frame.addr, frame.linear_bytes());
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
    needed += of(piece->addr, piece->len);
  if (!xsk_.multi_buffer() || needed > kMaxDescriptors) return end(frame, EMSGSIZE);
  if (room < needed) return end(frame, ENOSPC);
  room -= needed;

  FrameAddr last = frame.addr;
  std::uint32_t last_len = frame.linear_bytes();
  send_piece(last, last_len, needed);
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next) {
    last = piece->addr;
    last_len = piece->len;
    send_piece(last, last_len, needed);
  }
  invariant(needed == 0, "a frame is sent whole");
  sent_.push(frame, {last.value + last_len});
}

void XskQueue::send_piece(FrameAddr addr, std::uint32_t len, std::uint32_t& left) {
  while (len > 0) {  // ends: at most kMaxDescriptors
    const auto part =
        std::min(len, static_cast<std::uint32_t>(kChunkBytes - addr.value % kChunkBytes));
    xsk_.send(addr, part, --left > 0);
    addr.value += part;
    len -= part;
  }
}

void XskQueue::kick() {
  const auto wanted = static_cast<std::uint32_t>((xsk_.unsent() + kTxBatch - 1) / kTxBatch);
  for (; kicks_ < std::clamp(wanted, 1U, kMaxKicks); ++kicks_) {
    io_uring_sqe& sqe = next_sqe();
    io_uring_prep_send(&sqe, slot, nullptr, 0, MSG_DONTWAIT);
    sqe.flags |= IOSQE_FIXED_FILE;
    sqe.user_data = user_data(Op::kick);
  }
}

void XskQueue::kick_again() {
  if (!abandoned_ && kicks_ == 0 && xsk_.unsent() != 0) kick();
}

void XskQueue::end(Frame& frame, int error) {
  frame.write_error = error;
  io_.written.push(frame);
}

void XskQueue::abandon() {
  abandoned_ = true;
  // The ring's hold on the socket would outlive the closing of its descriptor.
  const int none = -1;
  io_uring_register_files_update(&io_.ring.raw(), slot, &none, 1);
}

void XskQueue::reclaim() {
  sent_.drain([this](Frame& frame) { end(frame, ECANCELED); });
  for (std::size_t page = 0; page < lent_.size(); ++page)
    if (lent_[page] != 0) io_.pool.return_chunk({page * kChunkBytes});
  if (assembling_ != nullptr) io_.pool.release(*std::exchange(assembling_, nullptr));
}

}  // namespace vethd

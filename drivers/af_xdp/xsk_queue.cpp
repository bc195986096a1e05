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
      sent_(io.pool.arena().plan().bytes() / kChunkBytes, nullptr),
      lent_(sent_.size(), false) {
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
    default:
      invariant(completion.op == Op::cancel, "a socket is polled, kicked, and polls are cancelled");
  }
}

bool XskQueue::collect() {
  if (abandoned_) return false;
  std::size_t seen = xsk_.complete(kCompleteBatch, [this](FrameAddr addr) {
    Frame* const frame = std::exchange(sent_[page_of(addr)], nullptr);
    if (frame != nullptr) end(*frame, 0);
  });
  if (reading_ && arrived().size() < kCollectBatch)
    seen += xsk_.receive(kCollectBatch, [this](FrameAddr addr, std::uint32_t len, bool continues) {
      receive(addr, len, continues);
    });
  return seen != 0;
}

void XskQueue::receive(FrameAddr addr, std::uint32_t len, bool continues) {
  lent_[page_of(addr)] = false;
  Frame& piece = io_.pool.wrap_chunk(addr, len);
  if (assembling_ == nullptr) {
    piece.path = path();
    piece.meta.queue_mapping = queue().value;
    assembling_ = &piece;
  } else {
    chain(*assembling_, piece, 0);
  }
  if (continues) return;
  if (!has_arrivals()) io_.ready.push_back(this);
  arrived().push(*std::exchange(assembling_, nullptr));
}

void XskQueue::fill() {
  if (abandoned_) return;
  std::size_t room = xsk_.fill_room();
  const bool wanted = room != 0;
  for (; room > 0 && io_.pool.has_chunk(); --room) {
    const FrameAddr chunk = io_.pool.take_empty_chunk();
    lent_[page_of(chunk)] = true;
    xsk_.fill(chunk);
  }
  if (!wanted) return;
  xsk_.publish_fill();
  // Frames that come home make it whole again: wake_told() of whoever sends them.
  if (room > 0 && std::ranges::find(io_.starved, this) == io_.starved.end())
    io_.starved.push_back(this);
  if (!xsk_.fill_needs_wakeup()) return;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_recv(&sqe, slot, nullptr, 0, MSG_DONTWAIT);
  sqe.flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
  sqe.user_data = user_data(Op::cancel);  // whatever it says
}

void XskQueue::transmit(FrameList& frames) {
  bool published = false;
  while (Frame* frame = frames.pop()) {
    io_.pending.push(*frame);
    ++unfinished_;
    const std::uint32_t needed = descriptors(*frame);
    if (abandoned_) {
      end(*frame, ECANCELED);
    } else if (needed > 1 && (!xsk_.multi_buffer() || needed > kMaxDescriptors)) {
      end(*frame, EMSGSIZE);
    } else if (xsk_.send_room() < needed) {
      end(*frame, ENOSPC);
    } else {
      send(*frame, needed);
      published = true;
    }
  }
  if (!published) return;
  xsk_.publish_send();
  if (xsk_.send_needs_wakeup()) kick();
}

/// A descriptor may not cross the end of a chunk; a landing buffer is several in a row.
std::uint32_t XskQueue::descriptors(const Frame& frame) const {
  const auto of = [](FrameAddr addr, std::uint32_t len) {
    return static_cast<std::uint32_t>((addr.value % kChunkBytes + len + kChunkBytes - 1) /
                                      kChunkBytes);
  };
  std::uint32_t count = of(frame.addr, frame.linear_bytes());
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next)
    count += of(piece->addr, piece->len);
  return count;
}

void XskQueue::send(Frame& frame, std::uint32_t descriptors) {
  FrameAddr last = frame.addr;
  std::uint32_t last_len = frame.linear_bytes();
  send_piece(last, last_len, descriptors);
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next) {
    last = piece->addr;
    last_len = piece->len;
    send_piece(last, last_len, descriptors);
  }
  invariant(descriptors == 0, "a frame is sent whole");
  Frame*& here = sent_[page_of({last.value + last_len - 1})];
  invariant(here == nullptr, "a frame is sent once");
  here = &frame;
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
  --unfinished_;
  frame.write_error = error;
  io_.pending.remove(frame);
  io_.written.push(frame);
}

void XskQueue::abandon() {
  abandoned_ = true;
  // The ring's hold on the socket would outlive the closing of its descriptor.
  const int none = -1;
  io_uring_register_files_update(&io_.ring.raw(), slot, &none, 1);
}

void XskQueue::reclaim() {
  for (Frame*& frame : sent_)
    if (frame != nullptr) end(*std::exchange(frame, nullptr), ECANCELED);
  for (std::size_t page = 0; page < lent_.size(); ++page)
    if (lent_[page]) io_.pool.return_chunk({page * kChunkBytes});
  if (assembling_ != nullptr) io_.pool.release(*std::exchange(assembling_, nullptr));
}

}  // namespace vethd

#include "drivers/tap/tap_queue.hpp"

#include <algorithm>
#include <cerrno>

#include "daemon/ring/opcodes.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd {

void TapQueue::start_reading() {
  if (failed_) return;
  reading_ = true;
  // Where a cancellation has not come through yet, its end arms the queue again.
  if (in_flight_ != 0) return;
  if (io_.landing.any())
    arm();
  else
    io_.starved.push_back(this);
}

void TapQueue::stop_reading() {
  reading_ = false;
  if (in_flight_ != 0) cancel();
}

void TapQueue::arm() {
  const unsigned reads = io_.multishot ? 1 : kChainReads;
  for (unsigned i = 0; i < reads; ++i) {
    io_uring_sqe& sqe = next_sqe();
    if (io_.multishot) {
      prepare_read_multishot(sqe, slot, LandingBuffers::kGroup);
    } else {
      io_uring_prep_read(&sqe, slot, nullptr, kLandingBytes, 0);
      sqe.buf_group = LandingBuffers::kGroup;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      if (i + 1 < reads) sqe.flags |= IOSQE_IO_HARDLINK;
    }
    sqe.flags |= IOSQE_FIXED_FILE;
    sqe.user_data = user_data(Op::read);
  }
  in_flight_ = reads;
}

void TapQueue::cancel() {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_cancel64(&sqe, user_data(Op::read), 0);
  sqe.user_data = user_data(Op::cancel);
}

void TapQueue::complete(const Completion& completion, const io_uring_cqe& cqe) {
  if (completion.op == Op::read) return complete_read(cqe);
  invariant(completion.op == Op::cancel, "a TAP is read, and reads are cancelled");
  // Not found: the next link of a chain was between two reads. It has started by now.
  if (cqe.res == -ENOENT && !reading_ && in_flight_ != 0) cancel();
}

void TapQueue::complete_read(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    const FrameAddr start = io_.landing.take(cqe);
    if (cqe.res >= static_cast<int>(vnet_bytes_)) {
      const std::uint32_t len = static_cast<std::uint32_t>(cqe.res) - vnet_bytes_;
      const Arena& arena = io_.pool.arena();
      Frame& frame = io_.pool.wrap_landing({start.value + vnet_bytes_}, len);
      frame.path = path();
      frame.meta.queue_mapping = queue().value;
      decode_vnet(arena.at(start), frame.meta);
      if (in_udp_tunnel(frame.meta)) [[unlikely]]
        decode_vnet_tunnel(arena.at(start), arena.bytes_of(frame), frame.meta);
      io_.landing.received(len);
      if (!has_arrivals()) io_.ready.push_back(this);
      arrived().push(frame);
    } else {
      io_.pool.return_landing(start);
    }
  }
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return;
  --in_flight_;
  if (!reading_) {
    if (in_flight_ != 0) cancel();  // the next link of the chain has just started
    return;
  }
  switch (-std::min(cqe.res, 0)) {
    case 0:
    case EAGAIN:
    case EINTR:
    case ECANCELED:
      break;
    case ENOBUFS:
      if (in_flight_ == 0) io_.paused.push_back(path());
      break;
    default:
      // Once: the rest of the chain fails alike.
      reading_ = false;
      failed_ = true;
      io_.failures.push_back({.path = path(), .queue = queue(), .error = -cqe.res});
      return;
  }
  if (in_flight_ == 0) io_.starved.push_back(this);
}

void TapQueue::write(Frame& frame) {
  const Arena& arena = io_.pool.arena();
  std::byte* const start = arena.bytes_of(frame) - vnet_bytes_;
  encode_vnet(frame.meta, start);
  if (in_udp_tunnel(frame.meta)) [[unlikely]]
    encode_vnet_tunnel(frame.meta, start);
  io_uring_sqe& sqe = next_sqe();
  if (frame.frags == 0)
    io_uring_prep_write(&sqe, slot, start, frame.len + vnet_bytes_, 0);
  else
    io_uring_prep_writev(&sqe, slot, io_.pieces.gather(frame, arena, start), frame.frags + 1U, 0);
  sqe.flags |= IOSQE_FIXED_FILE;
  sqe.user_data = Completion{.op = Op::write, .value = arena.id_of(frame).value}.user_data();
  io_.pending.push(frame);
}

}  // namespace vethd

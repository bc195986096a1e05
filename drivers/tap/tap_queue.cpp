#include "drivers/tap/tap_queue.hpp"

#include <algorithm>
#include <cerrno>

#include "daemon/ring/opcodes.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd {
namespace {

// Turns after which what others have done is forgotten.
constexpr std::uint64_t kRecentTurns = 16;
// A busy TAP that has no more than that before it runs empty is quiet.
constexpr std::uint32_t kFewFrames = 8;

}  // namespace

void TapQueue::start_reading() {
  if (failed_) return;
  reading_ = true;
  // Where a cancellation has not come through yet, its end arms the queue again.
  if (in_flight_ != 0) return;
  if (!arm_if_buffers()) io_.starved.push_back(this);
}

void TapQueue::stop_reading() {
  reading_ = false;
  if (in_flight_ != 0) cancel();
}

bool TapQueue::arm_if_buffers() {
  // Who has just become busy finds its share lent to others, and what busy readers have left over
  // is used up when there are none any more.
  const bool others_share = reader_ == Reader::busy
                                ? io_.landing.lent(Reader::busy) == 0
                                : io_.busy_readers == 0 && io_.landing.lent(Reader::busy) >
                                                               io_.landing.lent(Reader::quiet);
  const Reader other = reader_ == Reader::busy ? Reader::quiet : Reader::busy;
  buffers_ = others_share ? other : reader_;
  if (io_.landing.lent(buffers_) == 0) return false;
  arm();
  return true;
}

void TapQueue::arm() {
  reads_ = reader_ == Reader::busy ? reads_of_a_turn() : io_.multishot ? 1 : kChainReads;
  for (unsigned i = 0; i < reads_; ++i) {
    io_uring_sqe& sqe = next_sqe();
    const auto group = static_cast<std::uint16_t>(buffers_);
    if (reader_ == Reader::quiet && io_.multishot) {
      prepare_read_multishot(sqe, slot, group);
    } else {
      io_uring_prep_read(&sqe, slot, nullptr, kLandingBytes, 0);
      sqe.buf_group = group;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      if (reader_ == Reader::busy && reads_ > 1)
        sqe.rw_flags = RWF_NOWAIT;  // each reads or says EAGAIN when it is submitted, in order
      else if (i + 1 < reads_)
        sqe.flags |= IOSQE_IO_HARDLINK;
    }
    sqe.flags |= IOSQE_FIXED_FILE;
    sqe.user_data = user_data(Op::read);
  }
  taken_ = 0;
  in_flight_ = reads_;
}

/// Busy TAPs share the time of one turn and the buffers, so that each of them is read again as
/// soon. One read waits for more where there was none left.
unsigned TapQueue::reads_of_a_turn() const {
  if (drained_) return 1;
  const auto readers = static_cast<std::uint32_t>(io_.busy_readers);
  const auto buffers = static_cast<std::uint32_t>(LandingBuffers::kBusyBuffers) / readers;
  return std::max(std::min({turn().share() / readers / weight_, buffers, wanted_}), 2U);
}

bool TapQueue::resume() {
  if (!reading_ || in_flight_ != 0) return true;
  if (has_arrivals()) return false;  // more than a turn's worth: the others may read meanwhile
  become(next_reader());
  if (!arm_if_buffers()) return false;
  if (drained_) in_a_row_ = 0;
  drained_ = false;
  return true;
}

/// As many reads as it mostly uses: one that finds nothing costs as much as one that does.
void TapQueue::fit_wanted() {
  if (drained_)
    wanted_ /= 2;
  else if (taken_ >= reads_)
    wanted_ = std::clamp(2 * wanted_, 2U, std::uint32_t{LandingBuffers::kBusyBuffers});
}

Reader TapQueue::next_reader() const {
  const bool alone = io_.turns >= io_.shared_until;
  if (alone || !io_.multishot)
    return Reader::quiet;  // where none stays armed, reads are few anyway
  if (reader_ == Reader::busy)
    return drained_ && in_a_row_ < kFewFrames ? Reader::quiet : Reader::busy;
  // A quarter of all buffers is too much where somebody else wants some.
  const bool recent = io_.turns - last_turn_ <= kRecentTurns;
  return recent && 4 * std::size_t{taken_} >= io_.landing.offered(reader_) ? Reader::busy
                                                                           : Reader::quiet;
}

void TapQueue::note_taken() {
  if (last_turn_ != io_.turns && reader_ == Reader::quiet) taken_ = 0;
  last_turn_ = io_.turns;
  ++taken_;
  ++in_a_row_;
  if (io_.last_reader == this) return;
  if (io_.last_reader != nullptr) io_.shared_until = io_.turns + kRecentTurns;
  io_.last_reader = this;
}

void TapQueue::become(Reader reader) {
  if (reader == reader_) return;
  reader_ = reader;
  if (reader == Reader::busy)
    ++io_.busy_readers;
  else
    --io_.busy_readers;
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
    const FrameAddr start = io_.landing.take(buffers_, cqe);
    note_taken();
    if (cqe.res >= static_cast<int>(vnet_bytes_)) {
      const std::uint32_t len = static_cast<std::uint32_t>(cqe.res) - vnet_bytes_;
      const Arena& arena = io_.pool.arena();
      Frame& frame = io_.pool.wrap_landing({start.value + vnet_bytes_}, len);
      frame.path = path();
      frame.meta.queue_mapping = queue().value;
      decode_vnet(arena.at(start), frame.meta);
      if (in_udp_tunnel(frame.meta)) [[unlikely]]
        decode_vnet_tunnel(arena.at(start), arena.bytes_of(frame), frame.meta);
      io_.landing.received(buffers_, len);
      weight_ = frame.weight();
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
    case EAGAIN:
      drained_ = true;
      break;
    case 0:
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
  if (in_flight_ != 0) return;
  fit_wanted();
  io_.starved.push_back(this);
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

// One queue of one TAP, through io_uring.
#pragma once

#include <cstdint>

#include "drivers/uring/queue.hpp"

namespace vethd {

/// Reads with buffers the kernel picks, writes each frame from where it was read, in order.
///
/// Alone, a TAP has one read that stays armed. That read takes all it finds, and all the buffers,
/// every time: beside others, a TAP that has taken many in one turn is given a number of reads
/// instead, its share of the turn, and becomes quiet again when it does not use them.
class TapQueue final : public UringQueue {
 public:
  // Reads in flight where multishot does not work. Hard links keep them in order, and keep all but
  // the first from waiting on the device.
  static constexpr unsigned kChainReads = 8;

  TapQueue(UringShared& io, const EndpointSetup& setup, std::uint16_t file_slot,
           std::uint32_t serial)
      : UringQueue(io, setup, file_slot, serial), vnet_bytes_(setup.vnet_bytes) {}

  void transmit(FrameList& frames) override {
    while (Frame* frame = frames.pop()) write(*frame);
  }
  void start_reading() override;
  void stop_reading() override;
  [[nodiscard]] bool is_quiet() const override { return in_flight_ == 0 && !has_arrivals(); }
  void abandon() override { become(Reader::quiet); }  // what was written has ended
  void reclaim() override {}
  void complete(const Completion& completion, const io_uring_cqe& cqe) override;
  bool resume() override;

 private:
  void arm();
  bool arm_if_buffers();
  void note_taken();
  void fit_wanted();
  void become(Reader reader);
  [[nodiscard]] Reader next_reader() const;
  [[nodiscard]] unsigned reads_of_a_turn() const;
  void cancel();
  void complete_read(const io_uring_cqe& cqe);
  void write(Frame& frame);

  const std::uint32_t vnet_bytes_;  // in front of each frame
  Reader reader_ = Reader::quiet;
  Reader buffers_ = Reader::quiet;  // whose its armed reads take
  std::uint32_t reads_ = 0;         // those armed last
  std::uint32_t taken_ = 0;         // frames: by those reads; of one that stays armed, in a turn
  std::uint32_t wanted_ = 2;        // reads, in its next turn
  std::uint32_t in_a_row_ = 0;      // frames, since there was none left
  bool drained_ = false;            // there was none left
  std::uint32_t weight_ = 1;        // of the last frame
  bool reading_ = false;            // to be kept armed
  bool failed_ = false;             // cannot be read any more
  std::uint32_t in_flight_ = 0;     // reads; a multishot counts as one
};

}  // namespace vethd

// One queue of one TAP, through io_uring.
#pragma once

#include <cstdint>

#include "drivers/uring/queue.hpp"

namespace vethd {

/// Reads with buffers the kernel picks, writes each frame from where it was read, in order.
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
  void abandon() override {}  // what was written has ended: Worker::finish_removals()
  void reclaim() override {}
  void complete(const Completion& completion, const io_uring_cqe& cqe) override;
  void resume() override {
    if (reading_ && in_flight_ == 0) arm();
  }

 private:
  void arm();
  void cancel();
  void complete_read(const io_uring_cqe& cqe);
  void write(Frame& frame);

  const std::uint32_t vnet_bytes_;  // in front of each frame
  bool reading_ = false;            // to be kept armed
  bool failed_ = false;             // cannot be read any more
  std::uint32_t in_flight_ = 0;     // reads; a multishot counts as one
};

}  // namespace vethd

// One queue of one network device through AF_XDP.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/uring/queue.hpp"
#include "xdp/xsk.hpp"

namespace vethd {

/// Receives into chunks of the worker's pool and sends each frame from where it lies. The rings are
/// looked at in every round; io_uring only tells that something has come (a poll that stays armed)
/// and carries the kicks the kernel asks for.
///
/// Shape    a frame leaves as one descriptor, or as several where the device takes that. The tx
///          ring is the queue: what does not fit ends as ENOSPC.
/// Threads  the owner's; other workers hand frames to it.
class XskQueue final : public UringQueue {
 public:
  XskQueue(UringShared& io, const EndpointSetup& setup, std::uint16_t file_slot,
           std::uint32_t serial);

  void transmit(FrameList& frames) override;
  void start_reading() override;
  void stop_reading() override;
  [[nodiscard]] bool is_quiet() const override {
    return !reading_ && !polling_ && !has_arrivals() && assembling_ == nullptr;
  }
  void abandon() override;
  void reclaim() override;
  void complete(const Completion& completion, const io_uring_cqe& cqe) override;
  void resume() override {}  // every round fills

  /// Whether collect() would find a frame.
  [[nodiscard]] bool has_received() const { return reading_ && xsk_.has_received(); }
  /// Frames given to the kernel whose end is not known: nothing wakes the worker when they are
  /// done.
  [[nodiscard]] bool has_unfinished() const { return unfinished_ != 0 && !abandoned_; }
  /// Rings -> arrived, written. Whether there was anything.
  bool collect();
  /// Gives the kernel chunks to receive into.
  void fill();
  /// Makes the kernel send what is left over from kicks that it has turned down.
  void kick_again();

 private:
  void arm();
  void kick();
  void receive(FrameAddr addr, std::uint32_t len, bool continues);
  void end(Frame& frame, int error);
  [[nodiscard]] std::uint32_t descriptors(const Frame& frame) const;
  void send(Frame& frame, std::uint32_t descriptors);
  void send_piece(FrameAddr addr, std::uint32_t len, std::uint32_t& left);
  [[nodiscard]] static std::size_t page_of(FrameAddr addr) { return addr.value / kChunkBytes; }

  Xsk& xsk_;
  bool reading_ = false;
  bool polling_ = false;  // a poll is armed
  bool abandoned_ = false;
  std::uint32_t kicks_ = 0;       // in flight
  std::uint32_t unfinished_ = 0;  // frames
  Frame* assembling_ = nullptr;   // a frame of several descriptors, until its last
  // By page of the arena. A frame is known by the page its last byte is in.
  std::vector<Frame*> sent_;
  std::vector<bool> lent_;  // chunks the kernel may receive into
};

}  // namespace vethd

// One queue of one network device through AF_XDP.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/af_xdp/sent_frames.hpp"
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
  [[nodiscard]] std::size_t transmit_room() override { return abandoned_ ? 0 : xsk_.send_room(); }
  void start_reading() override;
  void stop_reading() override;
  [[nodiscard]] bool is_quiet() const override {
    return !reading_ && !polling_ && !has_arrivals() && assembling_ == nullptr;
  }
  void abandon() override;
  void reclaim() override;
  void complete(const Completion& completion, const io_uring_cqe& cqe) override;
  bool resume() override { return true; }  // every round fills

  /// Whether collect() would find a frame.
  [[nodiscard]] bool has_received() const { return reading_ && xsk_.has_received(); }
  /// Frames given to the kernel whose end is not known: nothing wakes the worker when they are
  /// done.
  [[nodiscard]] bool has_unfinished() const { return sent_.size() != 0 && !abandoned_; }
  /// Those frames.
  [[nodiscard]] const SentFrames& sent() const { return sent_; }
  /// Rings -> arrived, written. Whether there was anything.
  bool collect();
  /// Gives the kernel chunks to receive into, and calls it where it wants that.
  void fill();
  /// Makes the kernel send what is left over from kicks that it has turned down.
  void kick_again();

 private:
  void arm();
  void kick();
  std::size_t complete();
  std::size_t receive();
  Frame& take(FrameAddr addr, std::uint32_t len);
  [[gnu::noinline]] void receive_piece(FrameAddr addr, std::uint32_t len, bool continues,
                                       FrameList& received);
  [[gnu::noinline]] void transmit_pieces(Frame& frame, std::size_t& room);
  void fill(std::size_t room);
  void send_piece(FrameAddr addr, std::uint32_t len, std::uint32_t& left);
  void end(Frame& frame, int error);

  Xsk& xsk_;
  bool reading_ = false;
  bool polling_ = false;  // a poll is armed
  bool abandoned_ = false;
  bool refused_ = false;     // a call to receive; none to drive NAPI before something has arrived
  std::uint32_t kicks_ = 0;  // in flight
  Frame* assembling_ = nullptr;  // a frame of several descriptors, until its last
  SentFrames sent_;
  // By page of the arena: whether the kernel may receive into it. Not of bytes, which could alias
  // anything and cost every frame a dozen loads.
  std::vector<std::uint16_t> lent_;
};

}  // namespace vethd

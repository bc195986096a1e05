// What is measured: a batch of frames, as a TAP hands it over, goes through one stage or through
// all of them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "daemon/pipeline/path.hpp"
#include "daemon/pipeline/softnet.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd::bench {

// kReceiveBatch of the worker: what one source hands over before the softirq runs.
constexpr std::size_t kBatch = 64;

/// 64 bytes on the wire, as path/ sends them: 18 bytes of UDP payload, the FCS not counted. Behind
/// a TAP with offloads the checksum of a local sender's frame is unfinished.
constexpr test::Spec small_frame() {
  test::Spec spec;
  spec.tcp = false;
  spec.payload = 18;
  spec.check = test::Check::unfinished;
  return spec;
}

/// Stands still. What a clock costs is the clock's.
class StillClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant{}; }
};

/// A machine of Linux 6.18, a path between two namespaces and a batch of frames for it.
///
/// Each repetition is prepare(), measured(), clean_up(); only the middle counts. The frames are
/// freshly written each time, so that their bytes are in the cache as after a read.
class Subject : protected Outside {
 public:
  explicit Subject(std::vector<test::Packet> packets, std::size_t cpus = 1,
                   const Sysctls& sysctls = {});
  ~Subject() override = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  void prepare();
  /// Panics if a frame of the batch is not where it should be.
  void clean_up();

  /// The stage, over the whole batch.
  virtual void run() = 0;

 protected:
  /// Whatever else must be so before run(); not measured.
  virtual void arrange() {}

  [[nodiscard]] const std::byte* bytes_of(const Frame& frame) const {
    return frames_.arena().bytes_of(frame);
  }

  test::Frames frames_;
  std::vector<test::Packet> packets_;
  Machine machine_;
  SoftnetData& softnet_;
  StillClock clock_;
  FrameList delivered_{Holder::transmit};
  RxContext context_;
  Path path_;
  std::vector<Frame*> batch_;  // in hand

 private:
  void hand_over(Frame& frame, CpuId target) override;
  void send_ipi(CpuId target) override;
  void wake_queue(PathId path, QueueId queue) override;
  void release(Frame& frame) override;

  std::size_t free_frames_;
};

/// One call of run(), and nothing else: the function whose instructions are counted.
void measured(Subject& subject);

struct Entry {
  std::string_view name;
  bool looped;  // run() goes through the batch as the first entry does
  std::unique_ptr<Subject> (*make)();
};

// All of them, in the order of a frame's journey. The first does nothing to its frames: what it
// costs to go through a batch, to be taken off those that do the same.
constexpr std::size_t kSubjects = 23;
[[nodiscard]] const std::array<Entry, kSubjects>& subjects();

}  // namespace vethd::bench

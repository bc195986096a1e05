// The memory all frames live in: one region per daemon, divided among the workers at start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "daemon/core/result.hpp"
#include "daemon/frame/frame.hpp"

namespace vethd {

// A chunk is what AF_XDP's UMEM allows at most; 256 bytes of headroom are XDP_PACKET_HEADROOM.
constexpr std::size_t kChunkBytes = 4096;
constexpr std::size_t kChunkHeadroom = 256;
constexpr std::size_t kChunkFrameBytes = kChunkBytes - kChunkHeadroom;

// The longest a TAP hands out: 65535 + 14 Ethernet + 4 VLAN + 26 vnet header = 65579, in pages.
constexpr std::size_t kLandingBytes = 17UL * 4096;

// Few enough that the bytes of one TCP stream stay near the cache, enough for a batch of 64.
constexpr std::size_t kLandingBuffers = 64;

/// Where the memory limit goes, known before anything is opened.
struct ArenaPlan {
  std::size_t workers = 0;
  std::size_t chunks_per_worker = 0;
  std::size_t bytes_per_worker = 0;  // landing buffers and chunks

  [[nodiscard]] std::size_t frames_per_worker() const {
    return kLandingBuffers + chunks_per_worker;
  }
  [[nodiscard]] std::size_t bytes() const { return workers * bytes_per_worker; }
};

/// Divides a limit; the frame descriptors are counted in. Chunks below one batch per worker are
/// refused by configuration, so the result always has some.
ArenaPlan plan_arena(std::size_t limit_bytes, std::size_t workers);

/// One mapping of packet memory and the table of frames that describe it.
///
/// Shape    worker w: landing buffers, then chunks, at w * bytes_per_worker.
/// Threads  the mapping is fixed; who may touch which bytes follows the frame's holder.
class Arena {
 public:
  static Result<Arena> create(const ArenaPlan& plan);

  [[nodiscard]] const ArenaPlan& plan() const { return plan_; }
  /// All packet memory, page aligned: what AF_XDP registers.
  [[nodiscard]] std::span<std::byte> memory() const { return {base_, plan_.bytes()}; }
  [[nodiscard]] std::byte* at(FrameAddr addr) const { return base_ + addr.value; }
  [[nodiscard]] std::byte* bytes_of(const Frame& frame) const { return at(frame.addr); }

  [[nodiscard]] FrameAddr landing(std::size_t worker, std::size_t index) const {
    return {worker * plan_.bytes_per_worker + index * kLandingBytes};
  }
  [[nodiscard]] FrameAddr chunk(std::size_t worker, std::size_t index) const {
    return {worker * plan_.bytes_per_worker + kLandingBuffers * kLandingBytes +
            index * kChunkBytes};
  }
  /// Start of the landing buffer that holds addr.
  [[nodiscard]] std::size_t landing_index(std::size_t worker, FrameAddr addr) const {
    return (addr.value - worker * plan_.bytes_per_worker) / kLandingBytes;
  }

  [[nodiscard]] std::span<Frame> frames_of(std::size_t worker) const {
    return frames().subspan(worker * plan_.frames_per_worker(), plan_.frames_per_worker());
  }
  [[nodiscard]] Frame& frame(FrameId id) const { return frames()[id.value]; }
  [[nodiscard]] FrameId id_of(const Frame& frame) const {
    return {static_cast<std::uint32_t>(&frame - frames_)};
  }

 private:
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(void* base) const;
  };
  using Mapping = std::unique_ptr<void, Unmap>;

  Arena(const ArenaPlan& plan, Mapping packet_memory, Mapping table);
  static Result<Mapping> map(std::size_t bytes, const char* what);
  [[nodiscard]] std::span<Frame> frames() const {
    return {frames_, plan_.workers * plan_.frames_per_worker()};
  }

  ArenaPlan plan_;
  Mapping packet_memory_;
  Mapping table_;
  std::byte* base_;
  Frame* frames_;
};

}  // namespace vethd

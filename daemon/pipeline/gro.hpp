// Generic receive offload: frames of one flow that arrive together go on as one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/list.hpp"
#include "daemon/pipeline/gro_rules.hpp"
#include "daemon/pipeline/merge.hpp"

namespace vethd {

// GRO_HASH_BUCKETS of include/linux/netdevice.h, MAX_GRO_SKBS of net/core/gro.c.
constexpr std::size_t kGroHashBuckets = 8;
constexpr std::size_t kMaxGroSkbs = 8;

/// What the receiving device has switched on beyond GRO itself.
struct GroFeatures {
  bool udp_forwarding = false;  // rx-udp-gro-forwarding
};

/// What one NAPI of one receiving device holds back to merge.
///
/// Emulates  net/core/gro.c: dev_gro_receive(), gro_list_prepare(), napi_gro_flush(). The
///           device has GRO and no generic XDP; no socket asks for UDP_GRO; a scrubbed frame has
///           none of the metadata that "slow_gro" compares.
/// Shape     8 buckets of 8 flows. A frame is in the bucket of the hash it brings; none is
///           computed, so most frames are in bucket 0.
/// Units     jiffies, of any origin.
/// Threads   one owner.
/// Never     allocates after construction, reads a clock, or makes a system call.
class Gro {
 public:
  enum class Result : std::uint8_t {
    held,    // waits for more of its flow
    merged,  // on the chain of a frame held, or just handed out
    passed   // handed out as it came
  };

  Gro(const Arena& arena, const GroRules& rules) : arena_(arena), rules_(rules) {}

  /// Takes a frame in hand. What is complete goes to `out`, a passed frame behind it.
  Result receive(Frame& frame, const GroFeatures& features, std::int64_t jiffy, FrameList& out);

  /// Everything held goes to `out`: bucket by bucket, oldest first.
  void flush(FrameList& out);
  /// Only what has been held since an earlier jiffy.
  void flush_old(std::int64_t jiffy, FrameList& out);

  [[nodiscard]] bool empty() const;

  /// Calls visit(const Frame&) for each frame held; those merged into it are on its chain.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Bucket& bucket : buckets_) bucket.frames.for_each(visit);
  }

  /// Takes out and passes on every held frame that matches. With a chain it is no valid packet: for
  /// freeing.
  template <class Match, class Take>
  void take_if(Match&& match, Take&& take) {
    for (Bucket& bucket : buckets_)
      for (std::size_t i = bucket.held; i-- > 0;) {
        Frame& frame = bucket.entries[i].group.frame();
        if (!match(std::as_const(frame))) continue;
        bucket.remove(i);
        take(frame);
      }
  }

 private:
  struct Entry {
    Group group;
    std::int64_t age = 0;  // jiffy in which the first frame came
  };
  struct Bucket {
    void insert(const Candidate& candidate, std::int64_t jiffy);
    void remove(std::size_t index);

    std::size_t held = 0;
    std::array<Entry, kMaxGroSkbs> entries;  // oldest first, as in `frames`
    FrameList frames{Holder::gro_hold};
  };

  void complete(Bucket& bucket, std::size_t index, FrameList& out);

  const Arena& arena_;
  GroRules rules_;
  std::array<Bucket, kGroHashBuckets> buckets_;
};

}  // namespace vethd

#include "daemon/pipeline/validate_xmit.hpp"

#include <cstddef>
#include <cstdint>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/segment.hpp"

namespace vethd {
namespace {

constexpr std::uint16_t kCsumMangled0 = 0xffff;  // CSUM_MANGLED_0: a zero would say "none"

/// The super-frame itself stays with the caller.
void split(const Frame& frame, std::size_t room, FramePool& pool, Counters& counters,
           FrameList& out) {
  auto segmenter = Segmenter::of(frame, pool.arena(), Ipv4Ids::incrementing);
  if (!segmenter) {
    ++counters.drop_not_segmentable;
    return;
  }
  if (segmenter->max_bytes() > kChunkFrameBytes) {
    ++counters.drop_too_long;
    return;
  }
  // What the super-frame stands for enters here, whether there is memory for all of it or not.
  counters.split_frames += segmenter->segments() - 1;
  for (std::uint32_t left = segmenter->segments(); left > 0; --left) {
    if (out.size() >= room) {
      counters.drop_tx_ring_full += left;
      return;
    }
    Frame* const segment = pool.take_chunk();
    if (segment == nullptr) {
      counters.drop_no_chunk += left;
      return;
    }
    segment->path = frame.path;
    segment->meta = frame.meta;
    segment->meta.gso_type = 0;
    segment->meta.gso_size = 0;
    segment->meta.hdr_len = 0;
    segment->meta.ip_summed = IpSummed::none;
    segment->len = segmenter->write(pool.arena().bytes_of(*segment));
    out.push(*segment);
  }
}

}  // namespace

bool finish_checksum(Frame& frame, const Arena& arena) {
  const std::size_t start = frame.meta.csum_start;
  const std::size_t check = start + frame.meta.csum_offset;
  const std::size_t linear = frame.linear_bytes();
  if (check + sizeof(std::uint16_t) > linear) return false;
  std::byte* const data = arena.bytes_of(frame);
  Wsum sum = csum_partial(data + start, linear - start);
  std::size_t summed = linear - start;
  for (const Frame* piece = frame.frag_list; piece != nullptr; piece = piece->next) {
    sum = csum_block_add(sum, csum_partial(arena.bytes_of(*piece), piece->len), summed);
    summed += piece->len;
  }
  const auto folded = static_cast<std::uint16_t>(~csum_fold(sum));
  store_be16(data + check, folded != 0 ? folded : kCsumMangled0);
  frame.meta.ip_summed = IpSummed::none;
  return true;
}

void validate_xmit(FrameList& leaving, std::size_t room, FramePool& pool, Counters& counters,
                   FrameList& spent) {
  unsigned unfinished = 0;
  leaving.for_each([&](const Frame& frame) {
    unfinished |= frame.meta.gso_type;
    unfinished |= static_cast<unsigned>(frame.meta.ip_summed == IpSummed::partial);
  });
  if (unfinished == 0) return;
  FrameList frames(Holder::transmit);
  frames.splice(leaving);
  while (Frame* frame = frames.pop()) {  // ends: what is split is plain
    if (frame->meta.gso_type != 0) {
      split(*frame, room, pool, counters, leaving);
      spent.push(*frame);
    } else if (frame->meta.ip_summed == IpSummed::partial &&
               !finish_checksum(*frame, pool.arena())) {
      ++counters.drop_bad_csum_start;
      spent.push(*frame);
    } else {
      leaving.push(*frame);
    }
  }
}

}  // namespace vethd

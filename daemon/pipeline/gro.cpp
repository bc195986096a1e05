#include "daemon/pipeline/gro.hpp"

#include <algorithm>
#include <optional>

#include "daemon/pipeline/headers.hpp"

namespace vethd {

void Gro::Bucket::insert(const Candidate& candidate, std::int64_t jiffy) {
  entries[held++] = Entry{.group = Group(candidate), .age = jiffy};
  frames.push(*candidate.frame);
}

void Gro::Bucket::remove(std::size_t index) {
  frames.remove(entries[index].group.frame());
  std::move(entries.begin() + static_cast<std::ptrdiff_t>(index) + 1,
            entries.begin() + static_cast<std::ptrdiff_t>(held),
            entries.begin() + static_cast<std::ptrdiff_t>(index));
  --held;
}

void Gro::complete(Bucket& bucket, std::size_t index, FrameList& out) {
  const Group group = bucket.entries[index].group;
  bucket.remove(index);
  group.complete(arena_);
  out.push(group.frame());
}

Gro::Result Gro::receive(Frame& frame, const GroFeatures& features, std::int64_t jiffy,
                         FrameList& out) {
  const auto pass = [&] {
    out.push(frame);
    return Result::passed;
  };
  const std::byte* const data = arena_.bytes_of(frame);
  const auto headers = find_headers(data, frame.linear_bytes());
  if (!headers || (!headers->tcp && !features.udp_forwarding)) return pass();
  const auto candidate = examine(frame, data, *headers);
  if (!candidate) return pass();

  Bucket& bucket = buckets_[frame.meta.hash % kGroHashBuckets];
  for (std::size_t i = 0; i < bucket.held; ++i) {
    Group& group = bucket.entries[i].group;
    if (group.frame().meta.hash != frame.meta.hash || !group.same_flow(*candidate, arena_))
      continue;
    const Group::Join join = group.join(*candidate, rules_, arena_);
    if (join != Group::Join::joined) complete(bucket, i, out);
    if (join != Group::Join::refused) return Result::merged;
    break;  // a flow is held once
  }
  if (!Group::can_start(*candidate, arena_)) return pass();
  if (bucket.held == kMaxGroSkbs) complete(bucket, 0, out);
  bucket.insert(*candidate, jiffy);
  return Result::held;
}

void Gro::flush(FrameList& out) {
  for (Bucket& bucket : buckets_)
    while (bucket.held > 0) complete(bucket, 0, out);
}

void Gro::flush_old(std::int64_t jiffy, FrameList& out) {
  for (Bucket& bucket : buckets_)
    while (bucket.held > 0 && bucket.entries[0].age != jiffy) complete(bucket, 0, out);
}

bool Gro::empty() const {
  return std::ranges::all_of(buckets_, [](const Bucket& bucket) { return bucket.held == 0; });
}

}  // namespace vethd

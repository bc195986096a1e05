#include "daemon/frame/arena.hpp"

#include <sys/mman.h>

#include <new>
#include <string>

#include "daemon/core/panic.hpp"

namespace vethd {

ArenaPlan plan_arena(std::size_t limit_bytes, std::size_t workers) {
  constexpr std::size_t kLandings = kLandingBuffers * (kLandingBytes + sizeof(Frame));
  const std::size_t share = limit_bytes / workers;
  invariant(share >= kLandings + kChunkBytes + sizeof(Frame), "the arena holds a batch per worker");
  ArenaPlan plan;
  plan.workers = workers;
  plan.chunks_per_worker = (share - kLandings) / (kChunkBytes + sizeof(Frame));
  plan.bytes_per_worker = kLandingBuffers * kLandingBytes + plan.chunks_per_worker * kChunkBytes;
  return plan;
}

void Arena::Unmap::operator()(void* base) const { ::munmap(base, bytes); }

Result<Arena::Mapping> Arena::map(std::size_t bytes, const char* what) {
  // Pages are taken when first touched: an idle pair costs address space, not memory.
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return fail(std::string("map ") + what + " of " + std::to_string(bytes) + " bytes",
                "lower [daemon] memory");
  // A janitor that is started later shares no page with us: each would be copied when written to.
  ::madvise(base, bytes, MADV_DONTFORK);
  return Mapping(base, Unmap{bytes});
}

Result<Arena> Arena::create(const ArenaPlan& plan) {
  auto packet_memory = map(plan.bytes(), "the frame arena");
  if (!packet_memory) return pass(std::move(packet_memory));
  auto table = map(plan.workers * plan.frames_per_worker() * sizeof(Frame), "the frame table");
  if (!table) return pass(std::move(table));
  return Arena(plan, std::move(*packet_memory), std::move(*table));
}

Arena::Arena(const ArenaPlan& plan, Mapping packet_memory, Mapping table)
    : plan_(plan),
      packet_memory_(std::move(packet_memory)),
      table_(std::move(table)),
      base_(static_cast<std::byte*>(packet_memory_.get())),
      frames_(static_cast<Frame*>(table_.get())) {
  for (std::size_t worker = 0; worker < plan_.workers; ++worker)
    for (Frame& frame : frames_of(worker))
      (new (&frame) Frame)->home = static_cast<std::uint16_t>(worker);
}

}  // namespace vethd

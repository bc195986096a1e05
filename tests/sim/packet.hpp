// What travels in the simulation: packets that know where they belong and how they must arrive.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "daemon/core/ids.hpp"
#include "drivers/memory/memory_device.hpp"
#include "drivers/memory/random.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd::sim {

/// At the end of each packet that is long enough.
struct Record {
  std::uint64_t sequence = 0;  // in its flow, ascending
  std::uint32_t magic = 0;
  std::uint32_t path = 0;
  std::uint32_t flow = 0;
  std::uint32_t frame_bytes = 0;
  std::uint32_t checksum = 0;  // of the frame's bytes before the record
  VnetHeader arrives;          // the header that the receiver must see
  std::uint16_t unused = 0;
};
static_assert(sizeof(Record) == 40);

// Of Record's own kind: long enough for Ethernet, a tag, IPv6, UDP and a record.
constexpr std::uint32_t kShortestWithRecord = 14 + 4 + 40 + 8 + sizeof(Record);

/// A stream of packets of the same addresses and ports, numbered.
struct Flow {
  PathId path;
  std::uint32_t id = 0;         // unique in the simulation; its low bits choose the headers
  std::uint64_t next = 1;       // to be sent
  std::uint64_t last_seen = 0;  // at the receiver
  std::optional<QueueId> leaves_by = std::nullopt;
};

/// How a packet is described and how long it is.
struct Shape {
  std::uint32_t frame_bytes = 0;
  bool gso = false;
  std::uint8_t checksum_kind = 0;  // of kChecksumKinds
};
constexpr std::uint32_t kChecksumKinds = 4;  // none, unfinished, valid, unfinished in the header

/// The next packet of a flow; shorter than kShortestWithRecord: without number or record.
Packet make_packet(Flow& flow, const Shape& shape);

/// The record, if the packet has one that is whole.
std::optional<Record> record_of(std::span<const std::byte> packet);
/// Of the frame, up to the record.
std::uint32_t checksum_of(std::span<const std::byte> packet);

}  // namespace vethd::sim

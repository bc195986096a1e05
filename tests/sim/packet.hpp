// What travels in the simulation: packets that know where they belong and how they must arrive.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "daemon/core/ids.hpp"
#include "drivers/memory/memory_device.hpp"
#include "drivers/memory/random.hpp"
#include "drivers/tap/vnet.hpp"

namespace vethd::sim {

/// At the end of each packet that is long enough; of a super-frame in a stream, of each segment.
struct Record {
  std::uint64_t sequence = 0;  // in its flow, ascending
  std::uint32_t magic = 0;
  std::uint32_t path = 0;
  std::uint32_t flow = 0;
  std::uint32_t frame_bytes = 0;
  std::uint32_t checksum = 0;  // of the frame's bytes before the record
  VnetHeader arrives;          // the header that the receiver must see on a plain frame
  std::uint8_t damaged = 0;    // its L4 checksum is wrong, and must stay so
  std::uint8_t begins = 1;     // else of a super-frame: not its first segment
};
static_assert(sizeof(Record) == 40);

// Of Record's own kind: long enough for Ethernet, a tag, IPv6, TCP and a record.
constexpr std::uint32_t kShortestWithRecord = 14 + 4 + 40 + 20 + sizeof(Record);

// Flows with smaller ids send anything at all, but no checksum that GRO would look at. From here on
// they are streams: valid TCP segments or datagrams, each following on the one before, for GRO to
// merge. The low bits of an id choose the headers.
constexpr std::uint32_t kFirstStream = 8;
constexpr std::uint32_t kStreams = 16;

/// A stream of packets of the same addresses and ports, numbered.
struct Flow {
  PathId path;
  std::uint32_t id = 0;                // unique on its path
  std::uint64_t next = 1;              // to be sent
  std::uint32_t tcp_seq = 0xffffff00;  // to be sent; soon wraps around

  // At the receiver.
  std::uint64_t last_seen = 0;
  std::uint64_t last_damaged = 0;  // GRO lets these pass what it holds
  std::uint64_t order_from = 1;    // older ones may have taken another way

  [[nodiscard]] bool is_stream() const { return id >= kFirstStream; }
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

/// The same for a stream.
struct Segments {
  std::uint32_t payload = sizeof(Record);  // bytes of each
  std::uint32_t count = 1;                 // more: a super-frame
  bool unfinished = false;                 // the checksum; a super-frame's always is
  bool push = false;                       // TCP: PSH on the last
  bool cwr = false;                        // TCP: CWR on the first
  bool damaged = false;                    // only of a plain frame with a finished checksum
};
Packet make_segments(Flow& flow, const Segments& segments);

/// What is wrong with a packet that arrived, or nothing. Calls `visit` for the record of a plain
/// frame, and for that of each segment of a stream's super-frame, after splitting it by its vnet
/// header as any receiver could and finding every byte as it was sent.
///
/// plain_frames: the receiver takes no others, so what was left undone must have been done.
std::string_view inspect(std::span<const std::byte> packet, bool plain_frames,
                         const std::function<void(const Record&)>& visit);

}  // namespace vethd::sim

#include "tests/sim/packet.hpp"

#include <cstring>

namespace vethd::sim {
namespace {

constexpr std::uint32_t kMagic = 0x76657468;  // "veth"
constexpr std::uint8_t kGsoUdpL4 = 5;         // VIRTIO_NET_HDR_GSO_UDP_L4

/// Appends in network order.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  Writer& u8(std::uint32_t value) {
    if (at_ < out_.size()) out_[at_++] = static_cast<std::byte>(value & 0xff);
    return *this;
  }
  Writer& u16(std::uint32_t value) { return u8(value >> 8).u8(value); }
  Writer& u32(std::uint32_t value) { return u16(value >> 16).u16(value); }
  Writer& zero(int bytes) {
    for (int i = 0; i < bytes; ++i) u8(0);
    return *this;
  }

 private:
  std::span<std::byte> out_;
  std::size_t at_ = 0;
};

void write_headers(const Flow& flow, std::span<std::byte> frame) {
  const bool v6 = (flow.id & 1) != 0;
  const bool tagged = (flow.id & 2) != 0;
  const auto length = static_cast<std::uint32_t>(frame.size());
  Writer out(frame);
  out.u16(0x0200).u32(2).u16(0x0200).u32(1);
  if (tagged) out.u16(0x8100).u16(7);
  if (v6) {
    out.u16(0x86dd).u32(0x60000000).u16(length - 54).u8(17).u8(64);
    out.u32(0xfd000000).zero(8).u32(1 + flow.path.value);
    out.u32(0xfd000000).zero(8).u32(99);
  } else {
    out.u16(0x0800).u16(0x4500).u16(length - 14).u32(0).u8(64).u8(17).u16(0);
    out.u32(0x0a000001 + flow.path.value).u32(0x0a000063);
  }
  out.u16(1024 + flow.id).u16(53).u16(length - 34).u16(0);
}

}  // namespace

Packet make_packet(Flow& flow, const Shape& shape) {
  VnetHeader sent{};
  VnetHeader arrives{};
  if (shape.checksum_kind == 1 || shape.checksum_kind == 3) {
    sent.flags = kVnetNeedsCsum;
    sent.csum_start = shape.checksum_kind == 1 ? 34 : 4;
    sent.csum_offset = 6;
    if (shape.checksum_kind == 1) arrives = sent;  // within the Ethernet header it is void
  } else if (shape.checksum_kind == 2) {
    sent.flags = arrives.flags = kVnetDataValid;
  }
  if (shape.gso) {
    sent.gso_type = arrives.gso_type = kGsoUdpL4;
    sent.gso_size = arrives.gso_size = 1200;
    sent.hdr_len = arrives.hdr_len = 42;
  }

  Packet packet(kVnetBytes + shape.frame_bytes);
  std::memcpy(packet.data(), &sent, kVnetBytes);
  const std::span frame = std::span(packet).subspan(kVnetBytes);
  for (std::size_t i = 0; i < frame.size(); ++i)
    frame[i] = static_cast<std::byte>((flow.next * 7 + i) & 0xff);
  write_headers(flow, frame);
  if (shape.frame_bytes < kShortestWithRecord) return packet;

  const Record record{.sequence = flow.next++,
                      .magic = kMagic,
                      .path = flow.path.value,
                      .flow = flow.id,
                      .frame_bytes = shape.frame_bytes,
                      .checksum = checksum_of(packet),
                      .arrives = arrives};
  std::memcpy(packet.data() + packet.size() - sizeof record, &record, sizeof record);
  return packet;
}

std::optional<Record> record_of(std::span<const std::byte> packet) {
  Record record;
  if (packet.size() < sizeof record) return std::nullopt;
  std::memcpy(&record, packet.data() + packet.size() - sizeof record, sizeof record);
  if (record.magic != kMagic) return std::nullopt;
  return record;
}

std::uint32_t checksum_of(std::span<const std::byte> packet) {
  std::uint32_t sum = 2166136261U;  // FNV-1a
  for (const std::byte byte :
       packet.subspan(kVnetBytes, packet.size() - kVnetBytes - sizeof(Record)))
    sum = (sum ^ std::to_integer<std::uint32_t>(byte)) * 16777619U;
  return sum;
}

}  // namespace vethd::sim

// Streams of packets that mostly follow each other, and sometimes do not, for tests of merging.
#pragma once

#include <cstdint>
#include <deque>

#include "drivers/memory/random.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd::test {

constexpr std::uint16_t kFirstPort = 3000;  // the source port names the flow

/// How a packet must come out.
struct Sent {
  Packet packet;
  Bytes finished;          // what its bytes are once the checksum is finished
  bool overtakes = false;  // it may pass frames of its flow that are held
  bool damaged = false;    // it must come out alone
  bool arrived = false;
};

/// A stream with its habits.
struct Flow {
  Spec next;
  bool ids_step = true;
  std::deque<Sent> sent;  // from the first that has not arrived
};

inline Flow random_flow(Random& random, std::uint32_t number) {
  Flow flow;
  Spec& spec = flow.next;
  spec.source_port =
      static_cast<std::uint16_t>(kFirstPort + number);  // names the flow in what comes out
  spec.ipv6 = random.percent(50);
  spec.tcp = random.percent(60);
  spec.tags = random.below(3);
  spec.tos = static_cast<std::uint8_t>(random.below(4));
  spec.id = static_cast<std::uint16_t>(random.next());
  spec.seq = static_cast<std::uint32_t>(random.next());
  spec.payload = 1 + random.below(random.percent(20) ? 3000 : 300);
  flow.ids_step = random.percent(60);
  if (random.percent(20)) spec.fragment = 0;
  if (spec.tcp) spec.tcp_options = Bytes(random.below(4) * 4, std::byte{1});
  if (spec.ipv6 && random.percent(30)) spec.network_options = extension_header(spec.tcp ? 6 : 17);
  return flow;
}

/// The next packet of the flow, mostly one that follows the last by all rules.
inline Sent random_packet(Random& random, Flow& flow) {
  Spec spec = flow.next;
  bool overtakes = false;
  const std::uint32_t habit = spec.payload;
  switch (random.below(24)) {
    case 0:
      spec.payload = 1 + random.below(habit);
      break;
    case 1:
      spec.payload = habit + random.below(50);
      break;
    case 2:
      spec.tos ^= 3;
      break;
    case 3:
      --spec.ttl;
      break;
    case 4:
      spec.id = static_cast<std::uint16_t>(random.next());
      break;
    case 5:
      spec.seq += 1 + random.below(1000);
      break;
    case 6:
      ++spec.ack;
      break;
    case 7:
      ++spec.window;
      break;
    case 8:
      spec.flags |= kFin;
      break;
    case 9:
    case 10:
      spec.flags |= kPsh;
      break;
    case 11:
      spec.flags |= kCwr;
      break;
    case 12:
      if (spec.tcp) spec.payload = 0;
      break;
    case 13:
      spec.fragment ^= 0x4000;
      break;
    default:
      break;
  }
  if (!spec.tcp && random.percent(5)) {
    spec.check = Check::zero;
    overtakes = true;
  }
  Sent sent{.packet = {}, .finished = build(spec).bytes, .overtakes = overtakes};
  if (spec.check == Check::finished && random.percent(40)) spec.check = Check::unfinished;
  sent.packet = build(spec);
  if (spec.check == Check::finished && random.percent(30))
    sent.packet.meta.ip_summed = IpSummed::unnecessary;
  if (spec.check == Check::finished && random.percent(8)) {
    // Behind the ports, which tell the flow, a damage is one to the transport checksum.
    const std::size_t l4 =
        14 + 4 * spec.tags + (spec.ipv6 ? 40U : 20U) + spec.network_options.size();
    const std::size_t at =
        l4 + 4 + random.below(static_cast<std::uint32_t>(sent.packet.bytes.size() - l4 - 4));
    sent.packet.bytes[at] ^= static_cast<std::byte>(1 + random.below(255));
    sent.finished = sent.packet.bytes;
    sent.overtakes = sent.damaged = true;
  }
  flow.next = following(spec);
  flow.next.payload = habit;
  flow.next.flags = kAck;
  flow.next.check = Check::finished;
  if (!flow.ids_step && flow.next.id == spec.id + 1) flow.next.id = spec.id;
  return sent;
}

}  // namespace vethd::test

#include "daemon/pipeline/eth.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/pipeline/broken.hpp"
#include "daemon/pipeline/bytes.hpp"

namespace vethd {

void eth_type_trans(const Rules& rules, Frame& frame, const std::byte* data, const Device& peer) {
  constexpr std::size_t kMacBytes = sizeof(MacAddress::bytes);
  constexpr std::size_t kTypeAt = 2 * kMacBytes;
  const bool group = (load8(data) & 1) != 0;
  if ((group && rules.multicast_before_address) ||
      std::memcmp(data, peer.dev_addr.bytes.data(), kMacBytes) != 0) {
    if (!group)
      frame.meta.pkt_type = PacketType::otherhost;
    else
      frame.meta.pkt_type =
          std::all_of(data, data + kMacBytes, [](std::byte b) { return b == std::byte{0xff}; })
              ? PacketType::broadcast
              : PacketType::multicast;
  }

  const std::uint16_t type = load_be16(data + kTypeAt);
  if (type >= kEthP8023Min)
    frame.meta.protocol = type;
  else if (frame.len >= kEthHeaderBytes + 2 && load_be16(data + kEthHeaderBytes) == 0xffff)
    frame.meta.protocol = kEthP8023;
  else
    frame.meta.protocol = kEthP8022;

  if (broken(Stage::eth_type_trans)) {
    frame.addr.value += kEthHeaderBytes;
    frame.len -= kEthHeaderBytes;
  }
}

}  // namespace vethd

// Which flow a frame belongs to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "daemon/frame/frame.hpp"
#include "daemon/pipeline/rules.hpp"

namespace vethd {

/// The secret of one emulated kernel's flow hash, random per boot there and per machine here.
struct HashKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

/// The fields the kernel hashes, after reordering, so that both directions look the same.
///
/// Emulates  include/net/flow_dissector.h: struct flow_keys from `basic` on.
struct FlowKeys {
  std::array<std::byte, 16> src{};  // network order; the first 4 for IPv4
  std::array<std::byte, 16> dst{};
  std::uint16_t n_proto = 0;
  std::uint16_t vlan_tci = 0;  // outermost tag
  std::uint16_t src_port = 0;  // host order; 0 for fragments and protocols without ports
  std::uint16_t dst_port = 0;
  std::uint32_t flow_label = 0;
  std::uint8_t ip_proto = 0;
  bool has_l4 = false;  // ports or flow label present: skb->l4_hash

  friend bool operator==(const FlowKeys&, const FlowKeys&) = default;
};

/// What a non-zero IPv6 flow label does.
enum class FlowLabel : std::uint8_t {
  stops,   // it stands for the ports: skb_get_hash(). The two directions differ
  ignored  // ports are read all the same: __skb_get_hash_symmetric()
};

/// Reads the keys out of a frame: VLAN tags, IPv4, IPv6 with extension headers, ports. Ports are
/// absent for any fragment, the first included.
///
/// Emulates  net/core/flow_dissector.c: __skb_flow_dissect() with the keys of skb_get_hash(), and
///           __flow_hash_consistentify(): both directions give the same keys. Tunnels (IPIP, GRE,
///           MPLS, PPPoE) are not looked into: their flows hash as one.
/// Never     reads past len.
FlowKeys dissect_flow(const std::byte* data, std::uint32_t len, FlowLabel label,
                      const Rules& rules);

/// Never 0: 0 means "not computed".
///
/// Emulates  __flow_hash_from_keys(): siphash with a secret key (4.14: jhash2). Values differ from
///           any kernel's.
std::uint32_t hash_flow(const FlowKeys& keys, const HashKey& key);

/// Whether the frame's destructor is sock_wfree, which a TAP cannot say: taken to be so unless it
/// is TCP, whose sockets have one of their own, or ARP or IGMP, which the stack sends without any.
[[nodiscard]] bool taken_for_sock_wfree(const Frame& frame, const std::byte* data);

/// The frame's hash, computed once and kept.
///
/// Emulates  include/linux/skbuff.h: skb_get_hash(). A TAP hands over no hash of the sender's
///           socket, so it is always the headers' here.
std::uint32_t skb_get_hash(Frame& frame, const std::byte* data, const HashKey& key,
                           const Rules& rules);

/// Spreads a hash over n choices by multiplication, not modulo.
///
/// Emulates  include/linux/kernel.h: reciprocal_scale().
[[nodiscard]] constexpr std::uint32_t reciprocal_scale(std::uint32_t hash, std::uint32_t n) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(hash) * n) >> 32);
}

}  // namespace vethd

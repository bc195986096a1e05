// What differs between the kernels' GRO.
#pragma once

namespace vethd {

/// Emulates  the comparisons of net/ipv4/tcp_offload.c: tcp_gro_receive(), net/ipv4/udp_offload.c:
///           udp_gro_receive_segment(), include/net/gro.h: inet_gro_flush().
struct GroRules {
  bool cwr_compared;          // TCP: a frame without CWR does not follow one with it
  bool constant_id_needs_df;  // IPv4: identical ids make a flow only if it must not be fragmented
  bool udp_network_compared;  // UDP: TTL, TOS, DF and id matter
};

inline constexpr GroRules kGro54{
    .cwr_compared = false, .constant_id_needs_df = true, .udp_network_compared = false};
inline constexpr GroRules kGro61{
    .cwr_compared = false, .constant_id_needs_df = true, .udp_network_compared = true};
inline constexpr GroRules kGro618{
    .cwr_compared = true, .constant_id_needs_df = false, .udp_network_compared = true};

}  // namespace vethd

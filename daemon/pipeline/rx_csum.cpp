#include "daemon/pipeline/rx_csum.hpp"

#include <cstdint>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/checksum.hpp"
#include "daemon/pipeline/headers.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {

void mark_unfinished_checksum(Frame& frame, const Arena& arena) {
  const std::byte* const data = arena.bytes_of(frame);
  const auto headers = find_headers(data, frame.linear_bytes());
  if (!headers) return;
  const std::byte* const ip = data + headers->l3;
  const std::uint32_t network_bytes =
      headers->ipv6 ? kIpv6HeaderBytes + load_be16(ip + 4) : load_be16(ip + 2);
  const std::uint32_t l3_header = std::uint32_t{headers->l4} - headers->l3;
  if (network_bytes < l3_header || headers->l3 + network_bytes > frame.len) return;
  const std::uint16_t offset = headers->tcp ? kTcpCheckOffset : kUdpCheckOffset;
  const std::uint16_t field = load_be16(data + headers->l4 + offset);
  if (field != csum_fold(pseudo_header_sum(data, *headers, network_bytes - l3_header))) return;
  frame.meta.ip_summed = IpSummed::partial;
  frame.meta.csum_start = headers->l4;
  frame.meta.csum_offset = offset;
}

}  // namespace vethd

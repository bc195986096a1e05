// The internet checksum (RFC 1071), several bytes at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "daemon/pipeline/headers.hpp"

namespace vethd {

/// A ones' complement sum of 16-bit words as they lie in memory, not yet folded. Which byte comes
/// first does not matter to the sum until it is read as a number, so packet memory is never
/// swapped; numbers are, on their way in (csum_of) and out (csum_fold).
using Wsum = std::uint64_t;

[[nodiscard]] constexpr Wsum csum_add(Wsum a, Wsum b) {
  const Wsum sum = a + b;
  return sum + (sum < a ? 1 : 0);  // the carry comes round
}

/// Takes out what was added. 2^64 - 1 is a multiple of 2^16 - 1, hence a zero here.
[[nodiscard]] constexpr Wsum csum_sub(Wsum a, Wsum b) { return csum_add(a, ~b); }

/// A sum over bytes that begin at an offset into what it is added to: behind an odd number of them
/// all bytes are in the other half of their word.
[[nodiscard]] constexpr Wsum csum_block_add(Wsum sum, Wsum part, std::size_t offset) {
  return csum_add(sum, offset % 2 != 0 ? std::rotl(part, 8) : part);
}

/// A number as a part of the sum.
[[nodiscard]] constexpr Wsum csum_of(std::uint32_t value) {
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

/// The sum as a number, in host order, not complemented. Zero only if every word was.
[[nodiscard]] constexpr std::uint16_t csum_fold(Wsum sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);  // below 2^18
  sum = (sum >> 16) + (sum & 0xffff);  // at most 2^16 + 2
  sum = (sum >> 16) + (sum & 0xffff);
  const auto folded = static_cast<std::uint16_t>(sum);
  return std::endian::native == std::endian::little ? std::byteswap(folded) : folded;
}

/// Emulates  csum_partial().
[[nodiscard]] Wsum csum_partial(const std::byte* data, std::size_t bytes);

/// Copies and sums in one pass over memory. Emulates csum_partial_copy_nocheck().
[[nodiscard]] Wsum csum_copy(std::byte* to, const std::byte* from, std::size_t bytes);

/// What TCP and UDP sum beside their own bytes: addresses, protocol, length from the L4 header on.
/// The destination is that of the IP header: one behind an IPv6 routing header is not looked for,
/// as in the kernel's GRO.
[[nodiscard]] Wsum pseudo_header_sum(const std::byte* data, const Headers& headers,
                                     std::uint32_t l4_bytes);

/// Whether the finished L4 checksum of a linear frame of `len` bytes is right. A zero one of UDP,
/// which stands for none, is not.
[[nodiscard]] bool l4_checksum_holds(const std::byte* data, const Headers& headers,
                                     std::uint32_t len);

/// The checksum of an IPv4 header whose checksum field counts as zero.
[[nodiscard]] std::uint16_t ipv4_checksum(const std::byte* ip, std::size_t header_bytes);

}  // namespace vethd

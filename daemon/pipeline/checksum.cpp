#include "daemon/pipeline/checksum.hpp"

#include <cstring>

#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

constexpr std::size_t kWordBytes = sizeof(Wsum);

/// Up to a word's bytes, the missing ones zero.
Wsum load(const std::byte* from, std::size_t bytes) {
  Wsum word = 0;
  std::memcpy(&word, from, bytes);
  return word;
}

/// Hands each word to store(offset, word, bytes) on the way; the last has fewer bytes.
template <class Store>
Wsum sum_words(const std::byte* data, std::size_t bytes, Store&& store) {
  // Two sums, so that one carry need not wait for the other.
  Wsum even = 0;
  Wsum odd = 0;
  std::size_t at = 0;
  for (; bytes - at >= 2 * kWordBytes; at += 2 * kWordBytes) {
    const Wsum first = load(data + at, kWordBytes);
    const Wsum second = load(data + at + kWordBytes, kWordBytes);
    store(at, first, kWordBytes);
    store(at + kWordBytes, second, kWordBytes);
    even = csum_add(even, first);
    odd = csum_add(odd, second);
  }
  if (bytes - at >= kWordBytes) {
    const Wsum word = load(data + at, kWordBytes);
    store(at, word, kWordBytes);
    even = csum_add(even, word);
    at += kWordBytes;
  }
  if (bytes > at) {
    const Wsum rest = load(data + at, bytes - at);
    store(at, rest, bytes - at);
    odd = csum_add(odd, rest);
  }
  return csum_add(even, odd);
}

}  // namespace

Wsum csum_partial(const std::byte* data, std::size_t bytes) {
  return sum_words(data, bytes, [](std::size_t, Wsum, std::size_t) {});
}

Wsum csum_copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  return sum_words(from, bytes, [to](std::size_t at, Wsum word, std::size_t count) {
    std::memcpy(to + at, &word, count);
  });
}

Wsum pseudo_header_sum(const std::byte* data, const Headers& headers, std::uint32_t l4_bytes) {
  const std::byte* const ip = data + headers.l3;
  const Wsum addresses = headers.ipv6 ? csum_partial(ip + 8, 32) : load(ip + 12, kWordBytes);
  return csum_add(addresses,
                  csum_add(csum_of(headers.tcp ? kIpProtoTcp : kIpProtoUdp), csum_of(l4_bytes)));
}

bool l4_checksum_holds(const std::byte* data, const Headers& headers, std::uint32_t len) {
  const std::uint32_t l4_bytes = len - headers.l4;
  const Wsum sum = csum_add(csum_partial(data + headers.l4, l4_bytes),
                            pseudo_header_sum(data, headers, l4_bytes));
  return csum_fold(sum) == 0xffff &&
         (headers.tcp || load_be16(data + headers.l4 + kUdpCheckOffset) != 0);
}

std::uint16_t ipv4_checksum(const std::byte* ip, std::size_t header_bytes) {
  const Wsum rest = csum_add(csum_partial(ip, 10), csum_partial(ip + 12, header_bytes - 12));
  return static_cast<std::uint16_t>(~csum_fold(rest));
}

}  // namespace vethd

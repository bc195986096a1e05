// The bytes that transfers carry: a block in which no two places look alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vethd::system_test {

inline constexpr std::size_t kLargestDatagram = 65535;

// Prime, so that no power of two between right and wrong place shows the same bytes.
inline constexpr std::size_t kBlockBytes = 262147;

/// A block and as much behind it as the largest datagram may need from its last byte on.
const std::vector<std::uint8_t>& pattern();

}  // namespace vethd::system_test

// Reading network byte order out of packet memory.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vethd {

[[nodiscard]] inline std::uint8_t load8(const std::byte* at) {
  return std::to_integer<std::uint8_t>(*at);
}

[[nodiscard]] inline std::uint16_t load_be16(const std::byte* at) {
  return static_cast<std::uint16_t>(load8(at) << 8 | load8(at + 1));
}

[[nodiscard]] inline std::uint32_t load_be32(const std::byte* at) {
  return static_cast<std::uint32_t>(load_be16(at)) << 16 | load_be16(at + 2);
}

}  // namespace vethd

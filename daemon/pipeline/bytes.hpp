// Reading and writing network byte order in packet memory.
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

inline void store8(std::byte* at, std::uint8_t value) { *at = static_cast<std::byte>(value); }

inline void store_be16(std::byte* at, std::uint16_t value) {
  store8(at, static_cast<std::uint8_t>(value >> 8));
  store8(at + 1, static_cast<std::uint8_t>(value & 0xff));
}

inline void store_be32(std::byte* at, std::uint32_t value) {
  store_be16(at, static_cast<std::uint16_t>(value >> 16));
  store_be16(at + 2, static_cast<std::uint16_t>(value & 0xffff));
}

}  // namespace vethd

// An Ethernet address.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vethd {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  /// Emulates include/linux/etherdevice.h: is_valid_ether_addr(): unicast and not all zero.
  [[nodiscard]] bool is_valid() const {
    return (bytes[0] & 1) == 0 && bytes != std::array<std::uint8_t, 6>{};
  }
  [[nodiscard]] std::string text() const;  // "02:00:00:00:00:01"
  friend bool operator==(const MacAddress&, const MacAddress&) = default;
};

/// Six colon-separated pairs of hex digits; nothing else.
std::optional<MacAddress> parse_mac(std::string_view text);

}  // namespace vethd

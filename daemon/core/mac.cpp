#include "daemon/core/mac.hpp"

#include <charconv>

namespace vethd {

namespace {
constexpr std::size_t kMacText = 17;  // six pairs of digits and five colons
}

std::string MacAddress::text() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(kMacText);
  for (const std::uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xf];
  }
  return out;
}

std::optional<MacAddress> parse_mac(std::string_view text) {
  if (text.size() != kMacText) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
    const char* digits = text.data() + i * 3;
    const auto [end, error] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
    if (error != std::errc{} || end != digits + 2) return std::nullopt;
    if (i + 1 < mac.bytes.size() && digits[2] != ':') return std::nullopt;
  }
  return mac;
}

}  // namespace vethd

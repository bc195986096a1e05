#include "config/literals.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>

#include "config/limits.hpp"

namespace vethd::config {

namespace {

/// All of text as a decimal number.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  struct Unit {
    std::string_view name;
    unsigned shift;
  };
  constexpr std::array kUnits = {Unit{"KiB", 10}, Unit{"MiB", 20}, Unit{"GiB", 30}};
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto count = parse_number<std::uint64_t>(text.substr(0, text.size() - unit.name.size()));
    if (!count || *count > std::numeric_limits<std::uint64_t>::max() >> unit.shift) break;
    return *count << unit.shift;
  }
  return std::nullopt;
}

std::optional<Address> parse_address(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string host(text.substr(0, slash));
  // inet_pton reads a C string: it must not stop before the end of ours.
  if (host.find('\0') != std::string::npos) return std::nullopt;
  const auto prefix = parse_number<std::uint8_t>(text.substr(slash + 1));
  Address address;
  address.family = host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  address.text = text;
  const unsigned longest = address.family == AF_INET ? 32 : 128;
  if (!prefix || *prefix > longest) return std::nullopt;
  if (::inet_pton(address.family, host.c_str(), address.bytes.data()) != 1) return std::nullopt;
  address.prefix = *prefix;
  return address;
}

bool is_interface_name(std::string_view text) {
  if (text.empty() || text.size() >= IFNAMSIZ || text == "." || text == "..") return false;
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '/' || c == ':' || c == '%' || byte <= ' ' || byte == 0x7f;
  });
}

bool is_plain_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameLength &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '/'; });
}

}  // namespace vethd::config

#include "daemon/control/number.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>

namespace vethd {
namespace {

constexpr std::uint32_t kGroupBits = 32;
constexpr std::uint32_t kDigitBits = 4;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

std::optional<std::int32_t> parse_int(std::string_view text) {
  text = trimmed(text);
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with('0')) {
    base = 8;
  }
  std::uint64_t size = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, size, base);
  if (error != std::errc{} || rest != end) return std::nullopt;
  constexpr std::uint64_t kMax = std::numeric_limits<std::int32_t>::max();
  if (size > kMax + (negative ? 1 : 0)) return std::nullopt;
  const auto value = static_cast<std::int64_t>(size);
  return static_cast<std::int32_t>(negative ? -value : value);
}

Result<std::vector<CpuId>> parse_cpu_mask(std::string_view text, std::uint32_t cpus) {
  const auto refuse = [&](int code) {
    return fail("", fmt::format("a hexadecimal mask of the {} emulated CPUs", cpus), code);
  };
  text = trimmed(text);
  std::vector<CpuId> mask;
  std::uint32_t group = 0;  // bit that the current group starts with
  std::uint32_t bit = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ',') {
      if (bit == group) return refuse(EINVAL);  // an empty group
      bit = group += kGroupBits;
      if (i == 0) return refuse(EINVAL);
      continue;
    }
    std::uint32_t digit = 0;
    if (std::from_chars(&text[i], &text[i] + 1, digit, 16).ec != std::errc{}) return refuse(EINVAL);
    if (bit - group >= kGroupBits) return refuse(EOVERFLOW);
    for (std::uint32_t i_bit = 0; i_bit < kDigitBits; ++i_bit) {
      if ((digit >> i_bit & 1U) == 0) continue;
      if (bit + i_bit >= cpus) return refuse(EOVERFLOW);
      mask.push_back({bit + i_bit});
    }
    bit += kDigitBits;
  }
  return mask;
}

std::string cpu_mask_text(const std::vector<CpuId>& mask, std::uint32_t cpus) {
  std::string text;
  for (std::uint32_t groups = (cpus + kGroupBits - 1) / kGroupBits; groups > 0; --groups) {
    const std::uint32_t first = (groups - 1) * kGroupBits;
    std::uint32_t word = 0;
    for (const CpuId cpu : mask)
      if (cpu.value / kGroupBits == groups - 1) word |= 1U << cpu.value % kGroupBits;
    const std::uint32_t bits = std::min(cpus - first, kGroupBits);
    text += fmt::format("{}{:0{}x}", text.empty() ? "" : ",", word,
                        (bits + kDigitBits - 1) / kDigitBits);
  }
  return text;
}

}  // namespace vethd

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

// kernel/sysctl.c: TMPBUFLEN less the end of the string and one that must not be a digit.
constexpr std::size_t kMaxNumber = 20;

constexpr std::string_view kBlank = " \t\n";

/// The first word; the kernel does not look at what follows it.
std::string_view first_word(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  text.remove_prefix(first);
  return text.substr(0, text.find_first_of(kBlank));
}

/// Takes the last group of digits off the text, with the commas and blanks around it.
std::string_view take_last_group(std::string_view& text) {
  constexpr std::string_view kBetween = ", \t\n";
  text = text.substr(0, text.find_last_not_of(kBetween) + 1);
  const std::size_t before = text.find_last_of(kBetween) + 1;  // npos + 1: the beginning
  const std::string_view group = text.substr(before);
  text = text.substr(0, text.substr(0, before).find_last_not_of(kBetween) + 1);
  return group;
}

}  // namespace

std::optional<std::int32_t> parse_int(std::string_view text) {
  text = first_word(text);
  if (text.size() > kMaxNumber) return std::nullopt;
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
  std::vector<CpuId> mask;
  std::uint32_t first = 0;  // bit that the group starts with
  do {                      // ends: each group makes the text shorter
    if (first >= cpus) return refuse(EOVERFLOW);
    const std::string_view group = take_last_group(text);
    if (group.empty()) break;  // nothing at all: no CPU
    std::uint64_t bits = 0;
    const char* const end = group.data() + group.size();
    const auto [rest, error] = std::from_chars(group.data(), end, bits, 16);
    if (error == std::errc::invalid_argument || rest != end) return refuse(EINVAL);
    if (group.size() > kGroupBits / kDigitBits) return refuse(EOVERFLOW);
    for (std::uint32_t bit = 0; bit < kGroupBits; ++bit) {
      if ((bits >> bit & 1U) == 0) continue;
      if (first + bit >= cpus) return refuse(EOVERFLOW);
      mask.push_back({first + bit});
    }
    first += kGroupBits;
  } while (!text.empty());
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

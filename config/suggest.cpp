#include "config/suggest.hpp"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <numeric>

namespace vethd::config {

namespace {

constexpr std::size_t kMaxWord = 64;    // characters; longer ones are no slip of the hand
constexpr std::size_t kMaxListed = 16;  // candidates named when none is near

/// Levenshtein distance; both words at most kMaxWord long.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::size_t, kMaxWord + 1> row;
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > kMaxWord) return {};
  std::string_view best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kMaxWord) continue;
    for (std::string_view tail = candidate;;) {
      const std::size_t away = distance(word, tail);
      if (away <= std::max<std::size_t>(1, tail.size() / 3) && away < best_distance &&
          away < tail.size()) {
        best = candidate;
        best_distance = away;
      }
      const std::size_t next = tail.find('_');
      if (next == std::string_view::npos) break;
      tail.remove_prefix(next + 1);
    }
  }
  return best;
}

std::string suggest(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view found = nearest(word, candidates);
  if (!found.empty()) return fmt::format("did you mean '{}'?", found);
  if (candidates.empty()) return "there is none";
  const auto listed = candidates.first(std::min(candidates.size(), kMaxListed));
  return fmt::format("known: {}{}", fmt::join(listed, ", "),
                     listed.size() < candidates.size() ? ", ..." : "");
}

}  // namespace vethd::config

#include "config/diagnostics.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <ranges>
#include <tuple>
#include <utility>

namespace vethd::config {

namespace {

constexpr std::size_t kMaxPrinted = 50;          // more would scroll the first ones away
constexpr std::size_t kMaxExcerpt = 120;         // characters of a source line
constexpr std::size_t kExcerptBeforeCaret = 60;  // where a longer line is cut
constexpr std::size_t kMaxQuoted = 64;           // characters of a word from the file

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }
bool is_control(char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f; }

/// The terminal must not obey what a file contains.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, is_control, '?');
  return out;
}

/// Bytes taken by the first count characters of UTF-8 text.
std::size_t bytes_of(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (count-- == 0) break;
  }
  return at;
}

std::optional<std::string_view> line_of(std::string_view text, std::uint32_t line) {
  for (std::uint32_t i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

void Diagnostics::add(Location where, std::string what, std::string right,
                      std::optional<Note> note) {
  all_.push_back({where, std::move(what), std::move(right), std::move(note)});
}

void Diagnostics::print(std::string& out, Location where, std::string_view kind,
                        std::string_view text) const {
  if (where.line == 0) {
    out += fmt::format("{}: {}: {}\n", file_, kind, printable(text));
    return;
  }
  out += fmt::format("{}:{}:{}: {}: {}\n", file_, where.line, where.column, kind, printable(text));
  auto line = line_of(text_, where.line);
  if (!line || line->empty()) return;
  std::size_t caret = where.column == 0 ? 0 : where.column - 1;
  if (caret > kExcerptBeforeCaret) {
    const std::size_t skipped = caret - kExcerptBeforeCaret;
    line->remove_prefix(bytes_of(*line, skipped));
    caret -= skipped;
  }
  const std::string_view shown = line->substr(0, bytes_of(*line, kMaxExcerpt));
  std::string pad;  // tabs stay tabs, so that the caret stands below its character
  for (const char byte : shown.substr(0, bytes_of(shown, caret))) {
    if (!is_continuation(byte)) pad += byte == '\t' ? '\t' : ' ';
  }
  std::string source(shown);
  std::ranges::replace_if(source, [](char c) { return is_control(c) && c != '\t'; }, '?');
  out += fmt::format("  {}\n  {}^\n", source, pad);
}

std::string Diagnostics::text() const {
  std::vector<const Diagnostic*> in_order;
  for (const Diagnostic& diagnostic : all_) in_order.push_back(&diagnostic);
  // The pointers break ties: errors of one place stay in the order they were found.
  std::ranges::sort(in_order, {}, [](const Diagnostic* d) {
    return std::tuple{d->where.line, d->where.column, d};
  });
  std::string out;
  for (const Diagnostic* diagnostic : in_order | std::views::take(kMaxPrinted)) {
    const char* separator = diagnostic->right.empty() ? "" : "; ";
    print(out, diagnostic->where, "error", diagnostic->what + separator + diagnostic->right);
    if (diagnostic->note) print(out, diagnostic->note->where, "note", diagnostic->note->text);
  }
  if (all_.size() > kMaxPrinted) {
    out += fmt::format("{}: error: {} more\n", file_, all_.size() - kMaxPrinted);
  }
  return out;
}

std::string quote(std::string_view word) {
  const std::size_t end = bytes_of(word, kMaxQuoted);
  return fmt::format("'{}{}'", word.substr(0, end), end < word.size() ? "..." : "");
}

}  // namespace vethd::config

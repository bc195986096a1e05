#include "config/toml.hpp"

#include <spdlog/fmt/fmt.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace vethd::config {

namespace {

// A dotted key nests one table per dot, and toml++ 3.3 destroys nested tables recursively: some
// ten thousand levels overflow an 8 MiB stack. It stops at 256 nested brackets by itself, every
// other one a table, so 64 * 128 = 8192 levels remain.
constexpr std::ptrdiff_t kMaxDotsPerLine = 64;

// The deepest place of the schema is pair[] -> a -> netns -> pid: 5 levels.
constexpr int kMaxDepth = 8;

// Stands for each byte outside ASCII in the copy that toml++ sees. toml++ 3.3 and 3.4 run into
// unreachable code on some characters outside strings and comments (0xcc 0xaa, for one).
constexpr char kMask = '?';

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Length of the well-formed UTF-8 character at the front, 0 if there is none (Unicode 15,
/// table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool second = tail(1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf);
    return second && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool second = tail(1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf);
    return second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool may_start_key(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || byte == '_' || byte == '-' || byte == '"' || byte == '\'';
}

class Reader {
 public:
  Reader(std::string_view text, Diagnostics& out) : text_(text), out_(out) {
    lines_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') lines_.push_back(i + 1);
    }
  }

  std::optional<Table> read() {
    if (!check_utf8() || !check_lines()) return std::nullopt;
    std::string masked(text_);
    if (masked.starts_with(kByteOrderMark)) masked.replace(0, kByteOrderMark.size(), 3, ' ');
    std::ranges::replace_if(masked, [](char c) { return !is_ascii(c); }, kMask);
    try {
      return table(toml::parse(masked), 0);
    } catch (const toml::parse_error& error) {
      out_.add(place(error.source().begin), fmt::format("not TOML: {}", error.description()), "");
      return std::nullopt;
    }
  }

 private:
  /// Columns count characters, as editors do.
  [[nodiscard]] Location location(std::size_t offset) const {
    const auto after = std::ranges::upper_bound(lines_, offset);
    const std::size_t start = *(after - 1);
    const auto characters =
        std::ranges::count_if(text_.substr(start, offset - start), std::not_fn(is_continuation));
    return {static_cast<std::uint32_t>(after - lines_.begin()),
            static_cast<std::uint32_t>(characters + 1)};
  }

  [[nodiscard]] std::size_t offset(const toml::source_position& position) const {
    if (position.line == 0 || position.line > lines_.size()) return text_.size();
    return std::min<std::size_t>(lines_[position.line - 1] + position.column - 1, text_.size());
  }

  [[nodiscard]] Location place(const toml::source_position& position) const {
    return location(offset(position));
  }

  bool check_utf8() {
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t length = utf8_length(text_.substr(at));
      if (length == 0) {
        out_.add(location(at),
                 fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text_[at])),
                 "save the file as UTF-8");
        return false;
      }
      at += length;
    }
    return true;
  }

  bool check_lines() {
    bool good = true;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const std::string_view rest = text_.substr(lines_[i]);
      const std::string_view line = rest.substr(0, rest.find('\n'));
      if (std::ranges::count(line, '.') > kMaxDotsPerLine) {
        out_.add(location(lines_[i]), fmt::format("more than {} dots in a line", kMaxDotsPerLine),
                 "break the line");
        good = false;
      }
      good = check_table_header(line, lines_[i]) && good;
    }
    return good;
  }

  /// toml++ 3.3 and 3.4 assert that a key follows '[' at the start of a line ("[&" aborts). No
  /// value of ours has a line that starts with '[' either: no key takes an array of arrays.
  bool check_table_header(std::string_view line, std::size_t start) {
    constexpr std::string_view kBlank = " \t";
    std::size_t at = std::min(line.find_first_not_of(kBlank), line.size());
    if (at == line.size() || line[at] != '[') return true;
    if (++at < line.size() && line[at] == '[') ++at;
    at = std::min(line.find_first_not_of(kBlank, at), line.size());
    if (at < line.size() && may_start_key(line[at])) return true;
    out_.add(location(start + at), "a table header without a name", "write [softnet] or [[pair]]");
    return false;
  }

  /// Keys and strings mean what toml++ read only where nothing was masked.
  void check_ascii(const toml::source_region& region) {
    const std::size_t begin = offset(region.begin);
    const std::size_t end = std::max(begin, offset(region.end));
    const std::string_view written = text_.substr(begin, end - begin);
    const auto bad = std::ranges::find_if_not(written, is_ascii);
    if (bad == written.end()) return;
    const auto at = static_cast<std::size_t>(bad - written.begin());
    out_.add(
        location(begin + at),
        fmt::format("{} is not ASCII", quote(written.substr(at, utf8_length(written.substr(at))))),
        "outside comments, write ASCII only");
  }

  Table table(const toml::table& from, int depth) {
    Table to;
    to.reserve(from.size());
    for (const auto& [key, node] : from) {
      check_ascii(key.source());
      to.push_back({std::string(key.str()), place(key.source().begin), value(node, depth + 1)});
    }
    return to;
  }

  Value value(const toml::node& node, int depth) {
    Value to{.data = Unused{"a float or a date"}, .where = place(node.source().begin)};
    if (depth > kMaxDepth) {
      out_.add(to.where, fmt::format("nested more than {} levels deep", kMaxDepth),
               "no key is that deep");
      return to;
    }
    if (const auto* boolean = node.as_boolean()) {
      to.data = boolean->get();
    } else if (const auto* integer = node.as_integer()) {
      to.data = integer->get();
    } else if (const auto* string = node.as_string()) {
      check_ascii(node.source());
      to.data = string->get();
    } else if (const auto* array = node.as_array()) {
      Array elements;
      elements.reserve(array->size());
      for (const toml::node& element : *array) elements.push_back(value(element, depth + 1));
      to.data = std::move(elements);
    } else if (const auto* inner = node.as_table()) {
      to.data = table(*inner, depth);
    }
    return to;
  }

  std::string_view text_;
  Diagnostics& out_;
  std::vector<std::size_t> lines_;  // offset of each line's first byte
};

}  // namespace

std::string_view kind_of(const Value& value) {
  struct Names {
    std::string_view operator()(const Unused& unused) const { return unused.kind; }
    std::string_view operator()(bool) const { return "a boolean"; }
    std::string_view operator()(std::int64_t) const { return "an integer"; }
    std::string_view operator()(const std::string&) const { return "a string"; }
    std::string_view operator()(const Array&) const { return "an array"; }
    std::string_view operator()(const Table&) const { return "a table"; }
  };
  return std::visit(Names{}, value.data);
}

std::optional<Table> read_toml(std::string_view text, Diagnostics& out) {
  if (text.size() > kMaxFileBytes) {
    out.add({}, fmt::format("larger than {} bytes", kMaxFileBytes),
            "one daemon reads one file of at most that size");
    return std::nullopt;
  }
  return Reader(text, out).read();
}

}  // namespace vethd::config

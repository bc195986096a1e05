// Everything that is wrong with a configuration, and where.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.hpp"

namespace vethd::config {

struct Note {
  Location where;
  std::string text;
};

struct Diagnostic {
  Location where;            // line 0: the file as a whole
  std::string what;          // what is wrong
  std::string right;         // what would be right; empty where the parser's own words say it
  std::optional<Note> note;  // the other place of a clash
};

class Diagnostics {
 public:
  explicit Diagnostics(std::string file, std::string_view text = {})
      : file_(std::move(file)), text_(text) {}

  void add(Location where, std::string what, std::string right, std::optional<Note> note = {});

  [[nodiscard]] bool empty() const { return all_.empty(); }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }

  /// One block per error, in the order of the file: file:line:column, the source line, a caret.
  [[nodiscard]] std::string text() const;

 private:
  void print(std::string& out, Location where, std::string_view kind, std::string_view text) const;

  std::string file_;
  std::string text_;
  std::vector<Diagnostic> all_;
};

/// A word from the file between quotes, clipped: for messages.
std::string quote(std::string_view word);

}  // namespace vethd::config

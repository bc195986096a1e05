// What a TOML file says, with the place of everything: the only form in which the rest of config
// sees it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/schema.hpp"

namespace vethd::config {

struct Entry;
struct Value;

using Array = std::vector<Value>;
using Table = std::vector<Entry>;
struct Unused {  // a float or a date: no key takes one
  std::string_view kind;
};

struct Value {
  std::variant<Unused, bool, std::int64_t, std::string, Array, Table> data;
  Location where;
};

struct Entry {
  std::string key;
  Location where;  // of the key
  Value value;
};

/// "an integer", "a table": for messages.
std::string_view kind_of(const Value& value);

}  // namespace vethd::config

// TOML text to values. The one place that knows the TOML library.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "config/diagnostics.hpp"
#include "config/value.hpp"

namespace vethd::config {

constexpr std::size_t kMaxFileBytes = 1 << 20;  // about 3000 pairs with every key written out

/// The text as a table, or nothing and the reason in the diagnostics.
///
/// Shape    at most kMaxFileBytes of UTF-8; keys and strings in ASCII, comments in any script.
/// Never    hands the library input it is known to mishandle (see toml.cpp).
std::optional<Table> read_toml(std::string_view text, Diagnostics& out);

}  // namespace vethd::config

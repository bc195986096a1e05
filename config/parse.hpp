// From a file to a configuration that has been checked completely, or to all that is wrong with it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "config/diagnostics.hpp"
#include "config/schema.hpp"
#include "config/validate.hpp"

namespace vethd::config {

/// Reads, parses and validates the file. Opens nothing else.
std::expected<Config, Diagnostics> load(const std::string& file, const Host& host);

/// The same for text that came from elsewhere; file is only its name in messages.
///
/// Errors  all of them at once; of TOML syntax errors, the first.
std::expected<Config, Diagnostics> parse(std::string_view text, std::string file, const Host& host);

}  // namespace vethd::config

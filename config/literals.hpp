// The values that TOML has no type for: sizes and addresses, written as strings.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "config/schema.hpp"

namespace vethd::config {

/// "64MiB" in bytes: a whole number and KiB, MiB or GiB, nothing else. None: not of that form, or
/// more than 64 bits hold.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// "192.168.1.1/24" or "fd00::1/64". None: not an address, no prefix, or a prefix out of range.
std::optional<Address> parse_address(std::string_view text);

/// Whether the kernel would let an interface have this name.
///
/// Emulates  net/core/dev.c: dev_valid_name(), without '%', which makes a name a template.
bool is_interface_name(std::string_view text);

/// Whether a pair or a machine may have this name: it appears in tables, messages and shell words.
bool is_plain_name(std::string_view text);

}  // namespace vethd::config

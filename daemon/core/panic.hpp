// Broken invariants: the program is wrong, not its input. Abort with the invariant's name.
#pragma once

#include <source_location>
#include <string_view>

namespace vethd {

/// Prints the invariant and where it broke, then aborts. In release builds too: a daemon that no
/// longer knows who owns a frame must not go on forwarding.
[[noreturn]] void panic(std::string_view invariant,
                        std::source_location where = std::source_location::current());

inline void invariant(bool holds, std::string_view name,
                      std::source_location where = std::source_location::current()) {
  if (!holds) [[unlikely]]
    panic(name, where);
}

}  // namespace vethd

// Text of unknown origin on its way to a terminal or a log.
#pragma once

#include <string>
#include <string_view>

namespace vethd {

/// Printable ASCII stays, every other byte becomes \xNN and a backslash two. Whoever may name a
/// device may put any byte but '/' and white space into its name: escape sequences, too.
std::string escaped(std::string_view text);

}  // namespace vethd

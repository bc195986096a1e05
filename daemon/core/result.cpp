#include "daemon/core/result.hpp"

#include <system_error>

namespace vethd {

std::string Error::text() const {
  std::string line = doing;
  if (code != 0) line += ": " + std::generic_category().message(code);
  if (!hint.empty()) line += " (" + hint + ")";
  return line;
}

}  // namespace vethd

#include "daemon/core/result.hpp"

#include <system_error>

namespace vethd {
namespace {

/// Any call can meet these, whatever else it might have failed for: there is one remedy.
const char* remedy_of(int code) {
  if (code == EMFILE) return "raise ulimit -n (LimitNOFILE= of a systemd unit)";
  if (code == ENFILE) return "raise the sysctl fs.file-max";
  return nullptr;
}

}  // namespace

std::string Error::text() const {
  std::string line = doing;
  if (code != 0) line += ": " + std::generic_category().message(code);
  if (const char* remedy = remedy_of(code)) return line + " (" + remedy + ")";
  if (!hint.empty()) line += " (" + hint + ")";
  return line;
}

}  // namespace vethd

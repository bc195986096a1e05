// Setup errors travel up to main as values and tell the operator what to do.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace vethd {

struct Error {
  int code = 0;       // errno, or 0 where none applies
  std::string doing;  // the step and its subject: "bring up red/veth0"
  std::string hint;   // what the operator can do about it; may be empty

  /// One line: step, cause, remedy.
  [[nodiscard]] std::string text() const;
};

template <class T>
using Result = std::expected<T, Error>;

/// Builds an error from errno, or from code when the failing call returned it.
inline std::unexpected<Error> fail(std::string doing, std::string hint = {}, int code = errno) {
  return std::unexpected(Error{.code = code, .doing = std::move(doing), .hint = std::move(hint)});
}

/// Passes an error of one Result on as another's.
template <class T>
std::unexpected<Error> pass(Result<T>&& failed) {
  return std::unexpected(std::move(failed).error());
}

}  // namespace vethd

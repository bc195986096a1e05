// Log lines of the control side. The kind of a line, for its limit, is where it was called.
#pragma once

#include <spdlog/spdlog.h>

#include <source_location>
#include <type_traits>
#include <utility>

namespace vethd::log {

/// A format string, checked by the compiler, and the place it stands at.
template <class... Arguments>
struct Format {
  template <class Text>
  // NOLINTNEXTLINE(google-explicit-constructor): as fmt::format_string
  consteval Format(const Text& pattern, std::source_location here = std::source_location::current())
      : text(pattern), where(here) {}

  spdlog::format_string_t<Arguments...> text;
  std::source_location where;
};

template <class... Arguments>
void write(spdlog::level::level_enum level, const Format<Arguments...>& format,
           Arguments&&... arguments) {
  const spdlog::source_loc where(format.where.file_name(), static_cast<int>(format.where.line()),
                                 format.where.function_name());
  spdlog::log(where, level, format.text, std::forward<Arguments>(arguments)...);
}

template <class... Arguments>
void info(Format<std::type_identity_t<Arguments>...> format, Arguments&&... arguments) {
  write<Arguments...>(spdlog::level::info, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void warn(Format<std::type_identity_t<Arguments>...> format, Arguments&&... arguments) {
  write<Arguments...>(spdlog::level::warn, format, std::forward<Arguments>(arguments)...);
}
template <class... Arguments>
void error(Format<std::type_identity_t<Arguments>...> format, Arguments&&... arguments) {
  write<Arguments...>(spdlog::level::err, format, std::forward<Arguments>(arguments)...);
}

}  // namespace vethd::log

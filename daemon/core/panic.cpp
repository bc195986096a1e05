#include "daemon/core/panic.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "daemon/core/give_up.hpp"

namespace vethd {

namespace {

/// Standard error may be a pipe that nobody reads: to end matters more than to be heard.
void say(const char* text, std::size_t bytes) {
  pollfd room{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&room, 1, 0) == 1) static_cast<void>(!::write(STDERR_FILENO, text, bytes));
}

}  // namespace

void panic(std::string_view invariant, std::source_location where) {
  std::array<char, 512> line{};
  const int bytes =
      std::snprintf(line.data(), line.size(), "vethd: broken invariant: %.*s (%s:%u)\n",
                    static_cast<int>(invariant.size()), invariant.data(), where.file_name(),
                    static_cast<unsigned>(where.line()));
  say(line.data(), std::min(static_cast<std::size_t>(bytes), line.size()));
  std::abort();
}

void give_up(const Error& error) {
  const std::string line = "vethd: error: " + error.text() + "\n";
  say(line.data(), line.size());
  std::_Exit(EXIT_FAILURE);
}

}  // namespace vethd

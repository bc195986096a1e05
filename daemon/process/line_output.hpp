// Lines to a descriptor that others gave us and that nobody may be reading.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "daemon/core/fd.hpp"

namespace vethd {

/// Writes whole lines, or none; never waits.
///
/// O_NONBLOCK belongs to the open file, which a terminal or a pipe shares with other processes, so
/// it is never set on the descriptor itself: a pipe or a device is opened once more, a socket is
/// asked per call. Where opening fails, room is looked for before each write; then another writer
/// of the same pipe can still take it in between.
///
/// Threads  one at a time.
class LineOutput {
 public:
  /// PIPE_BUF: a pipe takes such a line at once or not at all. Longer ones are cut.
  static constexpr std::size_t kMaxLineBytes = 4096;

  /// fd stays the caller's.
  explicit LineOutput(int fd);

  /// line comes without its '\n'. False: it did not go out, for want of a reader or of room.
  bool write(std::string_view line);

 private:
  [[nodiscard]] long put(std::string_view bytes) const;

  int fd_;
  Fd reopened_;
  bool is_socket_ = false;
  bool may_block_ = false;
  std::string rest_;  // of a line of which a terminal took a part
};

}  // namespace vethd

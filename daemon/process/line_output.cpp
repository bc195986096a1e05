#include "daemon/process/line_output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace vethd {

LineOutput::LineOutput(int fd) : fd_(fd) {
  struct stat st{};
  if (::fstat(fd, &st) < 0) return;
  is_socket_ = S_ISSOCK(st.st_mode);
  if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) return;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  reopened_.reset(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (reopened_.is_open()) fd_ = reopened_.get();
  may_block_ = !reopened_.is_open();
}

bool LineOutput::write(std::string_view line) {
  if (!rest_.empty()) {
    const long got = put(rest_);
    if (got > 0) rest_.erase(0, static_cast<std::size_t>(got));
    if (!rest_.empty()) return false;
  }
  std::string bytes(line.substr(0, kMaxLineBytes - 1));
  bytes += '\n';
  const long got = put(bytes);
  if (got <= 0) return false;
  rest_ = bytes.substr(static_cast<std::size_t>(got));
  return true;
}

long LineOutput::put(std::string_view bytes) const {
  if (may_block_) {
    pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
    if (::poll(&room, 1, 0) != 1) return -1;
  }
  long got = -1;
  do
    got = is_socket_ ? ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                     : ::write(fd_, bytes.data(), bytes.size());
  while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace vethd

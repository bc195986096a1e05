// The Unix socket on which the daemon answers vethctl.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/control/protocol.hpp"
#include "daemon/core/result.hpp"

namespace boost::asio {
class io_context;
}

namespace vethd {

// Names in the file system outlive the daemon, and whoever removes them wants to know of each
// before it exists. So they are made in steps, in this order:
//   1. missing_directory, make_directory
//   2. remove_stale_socket
//   3. SocketServer::listen

/// The directory that path needs and that is not there; nothing if it is.
std::optional<std::string> missing_directory(const std::string& path);

/// Makes one directory, mode 0755 less the umask.
Result<void> make_directory(const std::string& directory);

/// Removes a socket on which nobody listens any more. Errors: somebody does, or it is no socket.
Result<void> remove_stale_socket(const std::string& path);

/// Answers requests; guests may be slow, silent, wrong or many.
///
/// Shape    at most kMaxConnections; one more takes the place of the one whose last request is the
///          longest ago, so that silent guests lock nobody out. One request at a time per
///          connection, of at most kMaxRequestBytes; the next is read when its answer is written.
/// Threads  the one that runs the io_context.
/// Errors   a request that makes no sense is answered so; one without end, or a guest that takes
///          longer than kPatience to send one or to read an answer, loses the connection.
/// Never    writes to the log or removes the name of the socket.
///
/// Who may connect is a matter of the file's mode: 0660 less the umask, as Open vSwitch does it for
/// its daemons. The file has it from the start, whoever tries to connect first.
class SocketServer {
 public:
  static constexpr std::size_t kMaxConnections = 32;
  static constexpr std::chrono::seconds kPatience{5};

  /// To be called once, in the io_context's thread, now or later; later than kPatience, or after
  /// the server is gone, nobody hears it.
  using Reply = std::function<void(const Answer& answer)>;
  using Handler = std::function<void(const Request& request, Reply reply)>;

  static Result<SocketServer> listen(boost::asio::io_context& io, const std::string& path,
                                     Handler handler,
                                     std::chrono::milliseconds patience = kPatience);

  SocketServer(SocketServer&&) noexcept;
  SocketServer& operator=(SocketServer&&) noexcept;
  ~SocketServer();  // every connection is closed, whatever was being said

 private:
  class Impl;
  explicit SocketServer(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;  // owned here; what is under way in the io_context holds it weakly
};

}  // namespace vethd

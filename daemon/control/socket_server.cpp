#include "daemon/control/socket_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <utility>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/panic.hpp"

namespace vethd {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kSocketMode = 0660;

// Accepting fails when descriptors or memory run out, and would fail again at once: without a pause
// the loop would spin.
constexpr std::chrono::milliseconds kAcceptPause{100};

struct Address {
  sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

Result<Address> address_of(const std::string& path) {
  Address address;
  if (path.size() >= sizeof address.name.sun_path)
    return fail("use control socket " + path, "choose a path of at most 107 bytes", ENAMETOOLONG);
  path.copy(address.name.sun_path, path.size());
  return address;
}

Result<Fd> open_socket() {
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.is_open()) return fail("open the control socket");
  return socket;
}

}  // namespace

std::optional<std::string> missing_directory(const std::string& path) {
  const std::string directory = path.substr(0, path.find_last_of('/'));
  struct stat st{};
  if (directory.empty() || ::stat(directory.c_str(), &st) == 0 || errno != ENOENT)
    return std::nullopt;
  return directory;
}

Result<void> make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), kDirectoryMode) < 0)
    return fail("make directory " + directory, "[daemon] control_socket says where");
  return {};
}

Result<void> remove_stale_socket(const std::string& path) {
  const std::string doing = "use control socket " + path;
  struct stat st{};
  if (::lstat(path.c_str(), &st) < 0) {
    if (errno == ENOENT) return {};
    return fail(doing);
  }
  if (!S_ISSOCK(st.st_mode))
    return fail(doing, "something else is there: choose another control_socket", EEXIST);
  const Result<Address> address = address_of(path);
  if (!address) return std::unexpected(address.error());
  const Result<Fd> probe = open_socket();
  if (!probe) return std::unexpected(probe.error());
  // EAGAIN: somebody listens, and is busy.
  if (::connect(probe->get(), address->get(), sizeof address->name) == 0 || errno == EAGAIN) {
    return fail(doing, "another vethd runs there: stop it, or choose another control_socket",
                EADDRINUSE);
  }
  if (errno != ECONNREFUSED) return fail(doing);
  if (::unlink(path.c_str()) < 0) return fail("remove stale control socket " + path);
  return {};
}

// ---- The server. --------------------------------------------------------------------------------

class SocketServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& io, stream_protocol::acceptor acceptor, Handler handler,
       std::chrono::milliseconds patience)
      : acceptor_(std::move(acceptor)),
        pause_(io),
        handler_(std::move(handler)),
        patience_(patience) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void accept();

 private:
  class Connection;

  void accept_later();
  void admit(stream_protocol::socket socket);

  stream_protocol::acceptor acceptor_;
  asio::steady_timer pause_;
  Handler handler_;
  std::chrono::milliseconds patience_;
  // The one whose last request is the longest ago comes first.
  std::vector<std::shared_ptr<Connection>> connections_;
};

/// One guest: read a request, have it answered, write the answer, read the next.
///
/// What it has under way in the io_context keeps it alive, and does nothing once it is closed.
class SocketServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(stream_protocol::socket socket, Impl& server)
      : socket_(std::move(socket)), deadline_(socket_.get_executor()), server_(&server) {}

  void read() {
    set_deadline();
    asio::async_read_until(socket_, asio::dynamic_buffer(inbox_, kMaxRequestBytes), '\n',
                           [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                             self->have_read(error, bytes);
                           });
  }

  void close() {
    if (server_ == nullptr) return;
    error_code ignored;
    socket_.close(ignored);
    deadline_.cancel();
    std::erase(std::exchange(server_, nullptr)->connections_, shared_from_this());
  }

 private:
  void set_deadline() {
    deadline_.expires_after(server_->patience_);
    deadline_.async_wait([weak = weak_from_this()](const error_code& error) {
      if (error) return;
      const auto self = weak.lock();
      // One that was queued already when the next step began is not recalled.
      if (self != nullptr && self->deadline_.expiry() <= asio::steady_timer::clock_type::now())
        self->close();
    });
  }

  void have_read(const error_code& error, std::size_t bytes) {
    if (server_ == nullptr) return;
    if (error == asio::error::not_found) {
      last_ = true;  // where would the next one begin?
      return write(
          std::unexpected("a request has at most " + std::to_string(kMaxRequestBytes) + " bytes"));
    }
    if (error) return close();
    const std::string line = inbox_.substr(0, bytes - 1);
    inbox_.erase(0, bytes);
    move_to_back();
    const std::expected<Request, std::string> request = parse_request(line);
    if (!request) return write(std::unexpected(request.error()));
    unanswered_ = true;
    set_deadline();
    server_->handler_(*request, [weak = weak_from_this()](const Answer& answer) {
      if (const auto self = weak.lock()) self->answered(answer);
    });
  }

  void answered(const Answer& answer) {
    if (server_ == nullptr) return;
    invariant(std::exchange(unanswered_, false), "a request is answered once");
    write(answer);
  }

  void write(const Answer& answer) {
    outbox_ = answer_line(answer);
    set_deadline();
    asio::async_write(socket_, asio::buffer(outbox_),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                        self->written(error);
                      });
  }

  void written(const error_code& error) {
    if (server_ == nullptr) return;
    outbox_ = {};  // may be megabytes
    if (error || last_) return close();
    read();
  }

  void move_to_back() {
    auto& all = server_->connections_;
    const auto place = std::ranges::find(all, shared_from_this());
    std::rotate(place, place + 1, all.end());
  }

  stream_protocol::socket socket_;
  asio::steady_timer deadline_;
  Impl* server_;  // nullptr: closed
  std::string inbox_;
  std::string outbox_;
  bool unanswered_ = false;
  bool last_ = false;
};

SocketServer::Impl::~Impl() {
  for (const auto& connection : std::vector(connections_)) connection->close();
}

void SocketServer::Impl::accept() {
  acceptor_.async_accept(
      [weak = weak_from_this()](const error_code& error, stream_protocol::socket socket) {
        const auto self = weak.lock();
        if (!self) return;
        if (error) return self->accept_later();
        self->admit(std::move(socket));
        self->accept();
      });
}

void SocketServer::Impl::accept_later() {
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([weak = weak_from_this()](const error_code&) {
    if (const auto self = weak.lock()) self->accept();
  });
}

void SocketServer::Impl::admit(stream_protocol::socket socket) {
  if (connections_.size() == kMaxConnections) {
    const auto longest_silent = connections_.front();
    longest_silent->close();
  }
  connections_.push_back(std::make_shared<Connection>(std::move(socket), *this));
  connections_.back()->read();
}

Result<SocketServer> SocketServer::listen(asio::io_context& io, const std::string& path,
                                          Handler handler, std::chrono::milliseconds patience) {
  const std::string doing = "listen on control socket " + path;
  const Result<Address> address = address_of(path);
  if (!address) return std::unexpected(address.error());
  Result<Fd> socket = open_socket();
  if (!socket) return std::unexpected(socket.error());
  // On Linux the file gets the socket's mode: no moment at which it is wider, no path to be fooled.
  if (::fchmod(socket->get(), kSocketMode) < 0) return fail(doing);
  if (::bind(socket->get(), address->get(), sizeof address->name) < 0) {
    return fail(doing, errno == EADDRINUSE ? "another vethd starts there" : "needs to write there");
  }
  if (::listen(socket->get(), static_cast<int>(kMaxConnections)) < 0) return fail(doing);

  stream_protocol::acceptor acceptor(io);
  error_code error;
  acceptor.assign(stream_protocol(), socket->get(), error);
  if (error) return fail(doing, "", error.value());
  static_cast<void>(socket->release());
  auto impl = std::make_shared<Impl>(io, std::move(acceptor), std::move(handler), patience);
  impl->accept();
  return SocketServer(std::move(impl));
}

SocketServer::SocketServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
SocketServer::SocketServer(SocketServer&&) noexcept = default;
SocketServer& SocketServer::operator=(SocketServer&&) noexcept = default;
SocketServer::~SocketServer() = default;

}  // namespace vethd

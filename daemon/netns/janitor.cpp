#include "daemon/netns/janitor.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/core/panic.hpp"

namespace vethd {
namespace {

enum class Op : std::uint8_t { expect_netns, expect_socket, expect_directory, created, withdraw };

/// One message of the socket pair (SOCK_SEQPACKET keeps them whole), and the registry's row.
struct Request {
  Op op;
  Janitor::Registration registration;  // created, withdraw
  FileId netns;                        // expect_netns
  FileId file;                         // expect_netns, created; otherwise not known yet
  std::array<char, Janitor::kMaxPathBytes + 1> path;  // expect_netns: the name
};

struct Reply {
  int code;  // errno; 0: done
  Janitor::Registration registration;
  std::array<char, Janitor::kMaxPathBytes + 1> path;  // of a name that could not be removed
};

// ---- In the janitor's process. ------------------------------------------------------------------

class Registry {
 public:
  Registry() { rows_.reserve(Janitor::kMaxRegistrations); }

  Reply handle(const Request& request) {
    Reply reply{};
    if (request.op == Op::created || request.op == Op::withdraw) {
      const auto row = std::ranges::find(rows_, request.registration, &Request::registration);
      if (row == rows_.end()) {
        reply.code = ENOENT;
      } else if (request.op == Op::created) {
        row->file = request.file;
      } else {
        rows_.erase(row);
      }
      return reply;
    }
    if (rows_.size() == Janitor::kMaxRegistrations) {
      reply.code = ENOSPC;
    } else if (request.op != Op::expect_netns && file_id(request.path.data())) {
      reply.code = EEXIST;
    } else {
      reply.registration = {next_++};
      rows_.push_back(request);
      rows_.back().registration = reply.registration;
    }
    return reply;
  }

  /// Newest first, all of them; reports the first that stayed.
  Reply remove_all() {
    Reply reply{};
    for (; !rows_.empty(); rows_.pop_back()) {
      const int code = remove(rows_.back());
      if (code != 0 && reply.code == 0)
        reply = {code, rows_.back().registration, rows_.back().path};
    }
    return reply;
  }

 private:
  static int remove(const Request& row) {
    const char* path = row.path.data();
    switch (row.op) {
      case Op::expect_netns: {
        const Result<void> removed = remove_named({path, row.netns, row.file});
        return removed ? 0 : removed.error().code;
      }
      case Op::expect_socket: {
        struct stat st{};
        if (::lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) return 0;
        const bool known = row.file != FileId{};
        if (known && row.file != FileId{.device = st.st_dev, .inode = st.st_ino}) return 0;
        return ::unlink(path) < 0 ? errno : 0;
      }
      case Op::expect_directory:
        // Not empty: somebody else uses it by now.
        return ::rmdir(path) < 0 && errno != ENOENT && errno != ENOTEMPTY ? errno : 0;
      case Op::created:
      case Op::withdraw:
        break;
    }
    panic("a registry row is something to remove");
  }

  std::uint32_t next_ = 0;
  std::vector<Request> rows_;  // oldest first
};

[[noreturn]] void serve(int socket) {
  ::setsid();
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(ignored, SIG_IGN);
  ::prctl(PR_SET_NAME, "vethd-janitor");
  // Whoever waits for the end of the daemon's output, or of its TAPs, must not wait for us.
  if (socket > 0) ::close_range(0, static_cast<unsigned>(socket) - 1, 0);
  ::close_range(static_cast<unsigned>(socket) + 1, UINT_MAX, 0);

  Registry registry;
  for (;;) {  // until the daemon ends
    Request request{};
    const ssize_t got = ::recv(socket, &request, sizeof request, 0);
    if (got == 0) break;
    // ECONNRESET: the daemon was killed before it read our last answer; the end comes next.
    if (got < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (got < 0) break;
    const Reply reply = registry.handle(request);
    ::send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
  }
  const Reply outcome = registry.remove_all();
  ::send(socket, &outcome, sizeof outcome, MSG_NOSIGNAL);  // heard only by finish()
  ::_exit(outcome.code == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

// ---- In the daemon. -----------------------------------------------------------------------------

Result<Reply> receive(int socket, const std::string& doing) {
  Reply reply{};
  ssize_t got = -1;
  do got = ::recv(socket, &reply, sizeof reply, 0);
  while (got < 0 && errno == EINTR);
  if (got != sizeof reply) return fail(doing, "the janitor process is gone", got < 0 ? errno : 0);
  return reply;
}

Result<Janitor::Registration> ask(int socket, const Request& request, const std::string& doing) {
  if (::send(socket, &request, sizeof request, MSG_NOSIGNAL) < 0) {
    return fail(doing, "the janitor process is gone");
  }
  const Result<Reply> reply = receive(socket, doing);
  if (!reply) return std::unexpected(reply.error());
  if (reply->code != 0) {
    return fail(doing, reply->code == ENOSPC ? "too many names are registered" : "", reply->code);
  }
  return reply->registration;
}

Result<Janitor::Registration> expect(int socket, Request request, const std::string& path) {
  const std::string doing = "register " + path + " for removal";
  if (path.size() > Janitor::kMaxPathBytes)
    return fail(doing, "choose a shorter one", ENAMETOOLONG);
  path.copy(request.path.data(), path.size());
  return ask(socket, request, doing);
}

}  // namespace

Result<Janitor> Janitor::start() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    return fail("start the janitor");
  }
  Fd ours{ends[0]};
  const Fd its{ends[1]};
  const pid_t pid = ::fork();
  if (pid < 0) return fail("start the janitor", "raise RLIMIT_NPROC");
  if (pid == 0) serve(its.get());
  return Janitor{std::move(ours), pid};
}

Janitor::Janitor(Fd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}

Janitor::Janitor(Janitor&& other) noexcept
    : socket_(std::move(other.socket_)), pid_(std::exchange(other.pid_, 0)) {}

Janitor::~Janitor() { [[maybe_unused]] const Result<void> unheard = finish(); }

Result<Janitor::Registration> Janitor::will_create_netns(const NamedNetns& named) {
  Request request{};
  request.op = Op::expect_netns;
  request.netns = named.netns;
  request.file = named.file;
  return expect(socket_.get(), request, named.name);
}

Result<Janitor::Registration> Janitor::will_create_socket(const std::string& path) {
  Request request{};
  request.op = Op::expect_socket;
  return expect(socket_.get(), request, path);
}

Result<Janitor::Registration> Janitor::will_create_directory(const std::string& path) {
  Request request{};
  request.op = Op::expect_directory;
  return expect(socket_.get(), request, path);
}

Result<void> Janitor::created(Registration registration, FileId file) {
  Request request{};
  request.op = Op::created;
  request.registration = registration;
  request.file = file;
  Result<Registration> done = ask(socket_.get(), request, "tell the janitor what was created");
  if (!done) return pass(std::move(done));
  return {};
}

Result<void> Janitor::withdraw(Registration registration) {
  Request request{};
  request.op = Op::withdraw;
  request.registration = registration;
  Result<Registration> done = ask(socket_.get(), request, "tell the janitor what not to remove");
  if (!done) return pass(std::move(done));
  return {};
}

Result<void> Janitor::finish() {
  if (pid_ == 0) return {};
  ::shutdown(socket_.get(), SHUT_WR);
  Result<Reply> outcome = receive(socket_.get(), "clean up");
  socket_.reset();
  const pid_t child = std::exchange(pid_, 0);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!outcome) return pass(std::move(outcome));
  if (outcome->code != 0) {
    return fail(std::string{"remove "} + outcome->path.data(), "remove it by hand", outcome->code);
  }
  return {};
}

}  // namespace vethd

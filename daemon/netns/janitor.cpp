#include "daemon/netns/janitor.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
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
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/core/panic.hpp"
#include "daemon/netns/nic.hpp"

namespace vethd {
namespace {

enum class Op : std::uint8_t {
  expect_netns,
  expect_socket,
  expect_directory,
  expect_no_vlan_stripping,
  created,
  withdraw
};

/// One message of the socket pair (SOCK_SEQPACKET keeps them whole). expect_no_vlan_stripping
/// brings a descriptor with it, the device's.
struct Request {
  Op op;
  Janitor::Registration registration;  // created, withdraw
  FileId netns;                        // expect_netns
  FileId file;                         // expect_netns, created; otherwise not known yet
  // expect_netns: the name; expect_no_vlan_stripping: where the device was
  std::array<char, Janitor::kMaxPathBytes + 1> path;
};

struct Reply {
  int code;  // errno; 0: done
  Op op;     // of what could not be removed
  Janitor::Registration registration;
  std::array<char, Janitor::kMaxPathBytes + 1> path;  // its name
};

// ---- In the janitor's process. ------------------------------------------------------------------

/// Takes the descriptor that may come with a request.
ssize_t receive_request(int socket, Request& request, Fd& device) {
  iovec bytes{.iov_base = &request, .iov_len = sizeof request};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got <= 0) return got;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    device.reset(fd);
  }
  return got;
}

// A device renamed between two questions is asked for its name again.
constexpr int kRenameTries = 8;

/// Of the device a packet socket is bound to, whatever its name is by now. When a device goes, or
/// leaves its namespace, the kernel takes the socket off it: packet_notifier(), NETDEV_UNREGISTER.
int switch_vlan_stripping_on(int socket) {
  for (int tries = 0; tries < kRenameTries; ++tries) {
    sockaddr_ll bound{};
    socklen_t size = sizeof bound;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) < 0) return errno;
    if (bound.sll_ifindex <= 0) return 0;
    ifreq name{};
    name.ifr_ifindex = bound.sll_ifindex;
    if (::ioctl(socket, SIOCGIFNAME, &name) < 0) return errno == ENODEV ? 0 : errno;
    const Result<void> set = set_vlan_stripping(socket, name.ifr_name, true);
    if (set) return 0;
    if (set.error().code != ENODEV) return set.error().code;
  }
  return EBUSY;
}

/// What is to be done when the daemon has ended.
struct Row {
  Request request;
  Fd device;  // expect_no_vlan_stripping: a packet socket bound to it
};

class Registry {
 public:
  Registry() { rows_.reserve(Janitor::kMaxRegistrations); }

  Reply handle(const Request& request, Fd device) {
    Reply reply{};
    if (request.op == Op::created || request.op == Op::withdraw) {
      const auto row = std::ranges::find(
          rows_, request.registration, [](const Row& known) { return known.request.registration; });
      if (row == rows_.end()) {
        reply.code = ENOENT;
      } else if (request.op == Op::created) {
        row->request.file = request.file;
      } else {
        rows_.erase(row);
      }
      return reply;
    }
    if (rows_.size() == Janitor::kMaxRegistrations) {
      reply.code = ENOSPC;
    } else if (names_a_file(request.op) && file_id(request.path.data())) {
      reply.code = EEXIST;
    } else if (request.op == Op::expect_no_vlan_stripping && !device.is_open()) {
      reply.code = EMFILE;  // no number was free for it here
    } else {
      reply.registration = {next_++};
      rows_.push_back({.request = request, .device = std::move(device)});
      rows_.back().request.registration = reply.registration;
    }
    return reply;
  }

  /// Newest first, all of them; reports the first that stayed.
  Reply remove_all() {
    Reply reply{};
    for (; !rows_.empty(); rows_.pop_back()) {
      const Request& last = rows_.back().request;
      const int code = remove(last, rows_.back().device);
      if (code != 0 && reply.code == 0)
        reply = {.code = code, .op = last.op, .registration = last.registration, .path = last.path};
    }
    return reply;
  }

 private:
  static bool names_a_file(Op op) { return op == Op::expect_socket || op == Op::expect_directory; }

  static int remove(const Request& row, const Fd& device) {
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
      case Op::expect_no_vlan_stripping:
        return switch_vlan_stripping_on(device.get());
      case Op::created:
      case Op::withdraw:
        break;
    }
    panic("a registry row is something to remove");
  }

  std::uint32_t next_ = 0;
  std::vector<Row> rows_;  // oldest first
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
    Fd device;
    const ssize_t got = receive_request(socket, request, device);
    if (got == 0) break;
    // ECONNRESET: the daemon was killed before it read our last answer; the end comes next.
    if (got < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (got < 0) break;
    const Reply reply = registry.handle(request, std::move(device));
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

/// device: goes along, if open.
ssize_t send_request(int socket, const Request& request, const Fd& device) {
  iovec bytes{.iov_base = const_cast<Request*>(&request), .iov_len = sizeof request};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  if (device.is_open()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = device.get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL);
}

Result<Janitor::Registration> ask(int socket, const Request& request, const std::string& doing,
                                  const Fd& device = {}) {
  if (send_request(socket, request, device) < 0) {
    return fail(doing, "the janitor process is gone");
  }
  const Result<Reply> reply = receive(socket, doing);
  if (!reply) return std::unexpected(reply.error());
  if (reply->code != 0) {
    return fail(doing, reply->code == ENOSPC ? "too much is registered" : "", reply->code);
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

Result<Janitor::Registration> Janitor::will_stop_vlan_stripping(const Netns& ns, int ifindex) {
  const std::string subject = ns.label() + "/#" + std::to_string(ifindex);
  const std::string doing = "register VLAN stripping of " + subject;
  // Protocol 0: it receives nothing.
  const Result<Fd> device = in_netns(ns, [&]() -> Result<Fd> {
    Fd made{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
    if (!made.is_open()) return fail(doing, "needs CAP_NET_RAW");
    return made;
  });
  if (!device) return std::unexpected(device.error());
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = ifindex;
  if (::bind(device->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return fail(doing);
  Request request{};
  request.op = Op::expect_no_vlan_stripping;
  subject.copy(request.path.data(), Janitor::kMaxPathBytes);
  return ask(socket_.get(), request, doing, *device);
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
    if (outcome->op == Op::expect_no_vlan_stripping) {
      return fail(std::string{"switch VLAN stripping on again at "} + outcome->path.data(),
                  "run `ethtool -K IFNAME rxvlan on` there", outcome->code);
    }
    return fail(std::string{"remove "} + outcome->path.data(), "remove it by hand", outcome->code);
  }
  return {};
}

}  // namespace vethd

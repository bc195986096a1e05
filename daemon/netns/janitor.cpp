#include "daemon/netns/janitor.hpp"

#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "daemon/process/log.hpp"
#include "daemon/process/signals.hpp"

namespace vethd {
namespace {

constexpr int kPatienceMs = static_cast<int>(std::chrono::milliseconds(Janitor::kPatience).count());

/// device: goes along, if open.
bool send_request(int socket, const JanitorRequest& request, const Fd& device) {
  iovec bytes{.iov_base = const_cast<JanitorRequest*>(&request), .iov_len = sizeof request};
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
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof request;
}

enum class Heard { reply, end, nothing };

/// Waits for one reply, for kPatience at most.
Heard receive(int socket, JanitorReply& reply) {
  pollfd something{.fd = socket, .events = POLLIN, .revents = 0};
  int ready = -1;
  do ready = ::poll(&something, 1, kPatienceMs);
  while (ready < 0 && errno == EINTR);
  if (ready <= 0) return Heard::nothing;
  const ssize_t got = ::recv(socket, &reply, sizeof reply, MSG_DONTWAIT);
  return got == sizeof reply ? Heard::reply : Heard::end;
}

/// What stays, as an error.
Result<void> outcome_of(const std::vector<JanitorReply>& staying) {
  constexpr std::size_t kNamed = 16;
  if (staying.empty()) return {};
  std::string doing;
  for (std::size_t i = 0; i < std::min(staying.size(), kNamed); ++i)
    doing += (i == 0 ? "" : ", ") + what_to_do(staying[i].item);
  if (staying.size() > kNamed)
    doing += " and " + std::to_string(staying.size() - kNamed) + " more of the kind";
  const bool restore = staying.front().item.kind == JanitorItem::Kind::vlan_stripping;
  return fail(std::move(doing),
              restore ? "run `ethtool -K IFNAME rxvlan on` there" : "do it by hand",
              staying.front().code);
}

}  // namespace

Result<Janitor> Janitor::start() {
  Janitor janitor;
  if (auto begun = janitor.begin(); !begun) return pass(std::move(begun));
  return janitor;
}

Result<void> Janitor::begin() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
    return fail("start the janitor");
  Fd ours{ends[0]};
  const Fd its{ends[1]};
  const SignalsBlocked until_it_ignores_them;
  const pid_t pid = ::fork();
  if (pid < 0) return fail("start the janitor", "raise pids.max or ulimit -u");
  if (pid == 0) run_janitor(its.get(), std::move(list_));
  if (!replaced_.is_open()) replaced_ = std::move(socket_);  // the one that is waited for
  socket_ = std::move(ours);
  pid_ = pid;
  return {};
}

void Janitor::end() {
  if (pid_ == 0) return;
  const Fd process{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
  ::kill(pid_, SIGKILL);  // it may be stopped
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  ::poll(&ended, 1, kPatienceMs);  // the kernel may be keeping it
  ::waitpid(std::exchange(pid_, 0), nullptr, WNOHANG);
}

Result<void> Janitor::replace(const std::string& why) {
  const pid_t before = pid_;
  end();
  if (auto begun = begin(); !begun) return begun;
  log::warn("the janitor process {} {}: another one, {}, has taken over its list of {}", before,
            why, pid_, list_.size());
  return {};
}

Result<void> Janitor::ensure() {
  char none = 0;
  const ssize_t got = ::recv(socket_.get(), &none, sizeof none, MSG_PEEK | MSG_DONTWAIT);
  const bool lives = pid_ != 0 && got < 0 && errno == EAGAIN;
  if (!lives)
    if (auto replaced = replace("has ended"); !replaced) return replaced;
  replaced_.reset();
  return {};
}

Result<void> Janitor::tell(JanitorRequest::Op op, const JanitorItem& item, const Fd& device,
                           const std::string& doing) {
  JanitorReply reply;
  Heard heard = Heard::end;
  if (send_request(socket_.get(), {.op = op, .item = item}, device))
    heard = receive(socket_.get(), reply);
  // The next one starts with the list as it is now.
  if (heard == Heard::end) return replace("has ended");
  if (heard == Heard::nothing) return replace("did not answer");
  if (reply.code != 0) return fail(doing, "", reply.code);
  return {};
}

Janitor::Janitor(Janitor&& other) noexcept
    : list_(std::move(other.list_)),
      next_(other.next_),
      socket_(std::move(other.socket_)),
      replaced_(std::move(other.replaced_)),
      pid_(std::exchange(other.pid_, 0)) {}

Janitor::~Janitor() { [[maybe_unused]] const Result<void> unheard = finish(); }

Result<Janitor::Registration> Janitor::expect(JanitorItem item, const std::string& path,
                                              Fd device) {
  path.copy(item.path.data(), kMaxPathBytes);
  const std::string doing = "register with the janitor, to " + what_to_do(item);
  const bool is_file =
      item.kind == JanitorItem::Kind::socket || item.kind == JanitorItem::Kind::directory;
  if (path.size() > kMaxPathBytes) return fail(doing, "choose a shorter one", ENAMETOOLONG);
  if (list_.size() == kMaxRegistrations) return fail(doing, "too much is registered", ENOSPC);
  if (is_file && file_id(path)) return fail(doing, "", EEXIST);
  item.number = next_++;
  list_.put(item, std::move(device));
  auto told = tell(JanitorRequest::Op::put, item, list_.find(item.number)->device, doing);
  if (told) return Registration{item.number};
  list_.erase(item.number);
  return pass(std::move(told));
}

Result<Janitor::Registration> Janitor::will_create_netns(const NamedNetns& named) {
  JanitorItem item;
  item.kind = JanitorItem::Kind::netns;
  item.netns = named.netns;
  item.file = named.file;
  return expect(item, named.name);
}

Result<Janitor::Registration> Janitor::will_create_socket(const std::string& path) {
  JanitorItem item;
  item.kind = JanitorItem::Kind::socket;
  return expect(item, path);
}

Result<Janitor::Registration> Janitor::will_create_directory(const std::string& path) {
  JanitorItem item;
  item.kind = JanitorItem::Kind::directory;
  return expect(item, path);
}

Result<Janitor::Registration> Janitor::will_stop_vlan_stripping(const Netns& ns, int ifindex) {
  const std::string subject = ns.label() + "/#" + std::to_string(ifindex);
  const std::string doing = "register VLAN stripping of " + subject;
  // Protocol 0: it receives nothing.
  Result<Fd> device = in_netns(ns, [&]() -> Result<Fd> {
    Fd made{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
    if (!made.is_open()) return fail(doing, errno == EPERM ? "needs CAP_NET_RAW" : "");
    return made;
  });
  if (!device) return pass(std::move(device));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = ifindex;
  if (::bind(device->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return fail(doing);
  JanitorItem item;
  item.kind = JanitorItem::Kind::vlan_stripping;
  return expect(item, subject.substr(0, kMaxPathBytes), std::move(*device));
}

Result<void> Janitor::created(Registration registration, FileId file) {
  const std::string doing = "tell the janitor what was created";
  JanitorList::Entry* const entry = list_.find(registration.value);
  if (entry == nullptr) return fail(doing, "", ENOENT);
  entry->item.file = file;
  return tell(JanitorRequest::Op::put, entry->item, entry->device, doing);
}

Result<void> Janitor::withdraw(Registration registration) {
  const std::string doing = "tell the janitor what not to remove";
  if (list_.find(registration.value) == nullptr) return fail(doing, "", ENOENT);
  list_.erase(registration.value);
  JanitorItem item;
  item.number = registration.value;
  return tell(JanitorRequest::Op::erase, item, {}, doing);
}

Result<void> Janitor::finish() {
  if (pid_ == 0 && list_.size() == 0) return {};
  std::vector<JanitorReply> staying;
  Heard heard = Heard::end;
  bool done = false;
  if (pid_ != 0) {
    ::shutdown(socket_.get(), SHUT_WR);
    JanitorReply reply;
    while (!done && (heard = receive(socket_.get(), reply)) == Heard::reply) {  // bounded by list_
      done = reply.code == 0;
      if (!done) staying.push_back(reply);
    }
  }
  end();
  socket_.reset();
  if (!done) {
    log::warn("the janitor process {}: vethd cleans up itself",
              heard == Heard::nothing ? "does not answer" : "is gone");
    staying.clear();
    list_.carry_out([&](const JanitorItem& item, int code) {
      staying.push_back({.code = code, .item = item});
    });
  }
  list_ = {};
  return outcome_of(staying);
}

}  // namespace vethd

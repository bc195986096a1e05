#include "daemon/netns/janitor_process.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "daemon/process/signals.hpp"

namespace vethd {
namespace {

/// Takes the descriptor that may come with a request.
ssize_t receive_request(int socket, JanitorRequest& request, Fd& device) {
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

JanitorReply handle(JanitorList& list, const JanitorRequest& request, Fd device) {
  if (request.op == JanitorRequest::Op::erase) {
    list.erase(request.item.number);
    return {};
  }
  const bool needs_device = request.item.kind == JanitorItem::Kind::vlan_stripping;
  // No number was free for it here.
  if (needs_device && !device.is_open()) return {.code = EMFILE, .item = {}};
  list.put(request.item, std::move(device));
  return {};
}

/// Whoever waits for the end of the daemon's output, or of its TAPs, must not wait for us.
void close_all_but(int socket, const JanitorList& list) {
  std::vector<unsigned> kept = {static_cast<unsigned>(socket)};
  for (const JanitorList::Entry& entry : list.entries())
    if (entry.device.is_open()) kept.push_back(static_cast<unsigned>(entry.device.get()));
  std::ranges::sort(kept);
  unsigned next = 0;
  for (const unsigned fd : kept) {
    if (fd > next) ::close_range(next, fd - 1, 0);
    next = fd + 1;
  }
  ::close_range(next, UINT_MAX, 0);
}

}  // namespace

void run_janitor(int socket, JanitorList list) {
  ::setsid();
  ignore_signals();
  ::prctl(PR_SET_NAME, "vethd-janitor");
  close_all_but(socket, list);
  for (;;) {  // until the daemon ends
    JanitorRequest request;
    Fd device;
    const ssize_t got = receive_request(socket, request, device);
    if (got == 0) break;
    // ECONNRESET: the daemon was killed before it read our last answer; the end comes next.
    if (got < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (got < 0) break;
    const JanitorReply reply = handle(list, request, std::move(device));
    ::send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
  }
  bool all_done = true;
  // Heard only by finish(), which reads on, so that none of them waits for room.
  const auto say = [&](const JanitorItem& item, int code) {
    const JanitorReply stays{.code = code, .item = item};
    ::send(socket, &stays, sizeof stays, MSG_NOSIGNAL);
    all_done = false;
  };
  list.carry_out(say);
  const JanitorReply end;
  ::send(socket, &end, sizeof end, MSG_NOSIGNAL);
  ::_exit(all_done ? EXIT_SUCCESS : EXIT_FAILURE);
}

}  // namespace vethd

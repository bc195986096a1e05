#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>

#include "tests/system/lib/pattern.hpp"
#include "tests/system/lib/sockets.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {

namespace {

// Within the initial congestion window of ten segments: all of it leaves before the first answer.
constexpr std::uint64_t kHeldBytes = 10'000;

/// The bytes of one direction: the pattern again and again, each block with its number in front.
class Stream {
 public:
  /// Those from this offset on, as many as lie together.
  std::span<const std::uint8_t> from(std::uint64_t offset) {
    const std::uint64_t number = offset / kBlockBytes;
    std::memcpy(block_.data(), &number, sizeof number);
    return std::span(block_).subspan(offset % kBlockBytes);
  }

 private:
  std::vector<std::uint8_t> block_{pattern().begin(), pattern().begin() + kBlockBytes};
};

Result<void> send_stream(int socket, std::uint64_t begin, std::uint64_t end,
                         const std::vector<std::size_t>& writes) {
  Stream stream;
  std::size_t turn = 0;
  for (std::uint64_t sent = begin; sent < end; ++turn) {
    const auto ready = stream.from(sent);
    std::size_t want = std::min<std::uint64_t>(ready.size(), end - sent);
    if (!writes.empty()) want = std::min(want, writes[turn % writes.size()]);
    const ssize_t n = TEMP_FAILURE_RETRY(::send(socket, ready.data(), want, MSG_NOSIGNAL));
    if (n <= 0) return fail("send after " + std::to_string(sent) + " bytes");
    sent += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> check_stream(int socket, std::uint64_t bytes) {
  Stream stream;
  std::vector<std::uint8_t> got(kBlockBytes);
  for (std::uint64_t received = 0; received < bytes;) {
    const auto expected = stream.from(received);
    const std::size_t want = std::min<std::uint64_t>(expected.size(), bytes - received);
    const ssize_t n = TEMP_FAILURE_RETRY(::recv(socket, got.data(), want, 0));
    if (n <= 0) {
      return fail("receive after " + std::to_string(received) + " bytes", "", n < 0 ? errno : 0);
    }
    const auto size = static_cast<std::size_t>(n);
    if (std::memcmp(expected.data(), got.data(), size) != 0) {
      return fail(
          "bytes differ within " + std::to_string(size) + " after " + std::to_string(received), "",
          0);
    }
    received += size;
  }
  return {};
}

Result<std::uint64_t> retransmitted(const Fd& socket) {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &bytes) < 0) return fail("TCP_INFO");
  return info.tcpi_total_retrans;
}

struct Connection {
  Fd client;
  Fd server;
};

Result<Connection> connect_both(const Route& route) {
  const Address to = parse_address(route.to_address);
  const Fd listener = open_socket(route.to_netns, to.storage.ss_family, SOCK_STREAM);
  Connection made{.client = open_socket(route.from_netns, to.storage.ss_family, SOCK_STREAM),
                  .server = {}};
  const auto bound = bind_to(listener, to);
  if (!bound) return std::unexpected(bound.error());
  if (::listen(listener.get(), 1) < 0) return fail("listen");
  if (::connect(made.client.get(), bound->get(), bound->bytes) < 0)
    return fail("connect to " + route.to_address);
  // Inherits the listener's time-outs.
  made.server.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!made.server.is_open()) return fail("accept");
  return made;
}

}  // namespace

Result<TcpReport> tcp_exchange(const Route& route, const TcpPlan& plan) {
  auto connection = connect_both(route);
  if (!connection) return std::unexpected(connection.error());
  const std::array ends = {&connection->client, &connection->server};
  const int at_once = plan.writes.empty() ? 0 : 1;
  for (const Fd* end : ends) {
    if (::setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) < 0)
      return fail("TCP_NODELAY");
  }

  FirstFailure failure;
  std::uint64_t held = 0;
  if (plan.held) {
    held = std::min(kHeldBytes, plan.bytes_each_way);
    plan.held([&] {
      for (const Fd* end : ends) failure.note(send_stream(end->get(), 0, held, {}));
    });
  }
  const auto part = [&](const Fd& end, auto transfer) {
    return std::jthread([&failure, &end, transfer] {
      const Result<void> done = transfer(end.get());
      failure.note(done);
      if (!done) ::shutdown(end.get(), SHUT_RDWR);  // the others would wait for what never comes
    });
  };
  const auto check = [&](int end) { return check_stream(end, plan.bytes_each_way); };
  const auto send = [&](int end) {
    return send_stream(end, held, plan.bytes_each_way, plan.writes);
  };
  {
    const std::array work = {part(*ends[0], check), part(*ends[1], check), part(*ends[0], send),
                             part(*ends[1], send)};
  }
  if (auto done = failure.get(); !done) return std::unexpected(done.error());

  TcpReport report;
  for (const Fd* end : ends) {
    const auto segments = retransmitted(*end);
    if (!segments) return std::unexpected(segments.error());
    report.retransmitted += *segments;
  }
  return report;
}

Result<void> tcp_both_ways(const Route& route, std::uint64_t bytes_each_way) {
  const auto done = tcp_exchange(route, {.bytes_each_way = bytes_each_way});
  if (!done) return std::unexpected(done.error());
  return {};
}

}  // namespace vethd::system_test

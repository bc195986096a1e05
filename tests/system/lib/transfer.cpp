#include "tests/system/lib/transfer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "daemon/core/fd.hpp"
#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace {

constexpr int kSocketBuffer = 8 << 20;  // bytes; a round of datagrams always fits
constexpr std::size_t kLargestDatagram = 65535;

// Prime, so that no power of two between right and wrong place shows the same bytes.
constexpr std::size_t kBlockBytes = 262147;

const std::vector<std::uint8_t>& pattern() {
  static const std::vector<std::uint8_t> bytes = [] {
    std::vector<std::uint8_t> made(kBlockBytes + kLargestDatagram);
    std::uint64_t state = 0x9e3779b97f4a7c15;
    for (std::uint8_t& byte : made) {  // xorshift64
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<std::uint8_t>(state);
    }
    return made;
  }();
  return bytes;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(sockaddr_storage);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address parse_address(const std::string& text) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    address.storage.ss_family = AF_INET;
    address.bytes = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    address.storage.ss_family = AF_INET6;
    address.bytes = sizeof *v6;
  } else {
    throw std::invalid_argument("not an address: " + text);
  }
  return address;
}

/// A socket of that namespace. Every call on it ends within its time-out.
Fd open_socket(const std::string& netns, int family, int type) {
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  Fd fd{inside(netns, [&] { return ::socket(family, type | SOCK_CLOEXEC, 0); })};
  const bool ready = fd.is_open() &&
                     ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                     ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
  if (!ready) throw std::system_error(errno, std::generic_category(), "socket in " + netns);
  return fd;
}

/// Binds to a free port and returns the address with it.
Result<Address> bind_to(const Fd& socket, Address address) {
  if (::bind(socket.get(), address.get(), address.bytes) < 0) return fail("bind");
  if (::getsockname(socket.get(), address.get(), &address.bytes) < 0) return fail("getsockname");
  return address;
}

/// Block n of a stream: the pattern with its own number in front.
void stamp(std::vector<std::uint8_t>& block, std::uint64_t number) {
  std::memcpy(block.data(), &number, sizeof number);
}

std::vector<std::uint8_t> blank_block() {
  return {pattern().begin(), pattern().begin() + kBlockBytes};
}

Result<void> send_stream(int socket, std::uint64_t bytes) {
  std::vector<std::uint8_t> block = blank_block();
  for (std::uint64_t sent = 0, number = 0; sent < bytes; ++number) {
    stamp(block, number);
    const std::size_t want = std::min<std::uint64_t>(kBlockBytes, bytes - sent);
    for (std::size_t done = 0; done < want;) {
      const ssize_t n = ::send(socket, block.data() + done, want - done, MSG_NOSIGNAL);
      if (n <= 0) return fail("send after " + std::to_string(sent + done) + " bytes");
      done += static_cast<std::size_t>(n);
    }
    sent += want;
  }
  return {};
}

Result<void> check_stream(int socket, std::uint64_t bytes) {
  std::vector<std::uint8_t> expected = blank_block();
  std::vector<std::uint8_t> got(kBlockBytes);
  for (std::uint64_t received = 0, number = 0; received < bytes; ++number) {
    const std::size_t want = std::min<std::uint64_t>(kBlockBytes, bytes - received);
    for (std::size_t done = 0; done < want;) {
      const ssize_t n = ::recv(socket, got.data() + done, want - done, 0);
      if (n <= 0)
        return fail("receive after " + std::to_string(received + done) + " bytes", "",
                    n < 0 ? errno : 0);
      done += static_cast<std::size_t>(n);
    }
    stamp(expected, number);
    if (std::memcmp(expected.data(), got.data(), want) != 0) {
      return fail(
          "bytes differ within " + std::to_string(want) + " after " + std::to_string(received), "",
          0);
    }
    received += want;
  }
  return {};
}

struct DatagramHeader {
  std::uint32_t flow;
  std::uint32_t number;  // rises by one per datagram of the flow
  std::uint32_t bytes;   // of the whole datagram
};

void write_datagram(std::span<std::uint8_t> out, std::uint32_t flow, std::uint32_t number) {
  const DatagramHeader header{flow, number, static_cast<std::uint32_t>(out.size())};
  const std::size_t at = (flow * 7919ULL + number * 104729ULL) % kBlockBytes;
  std::memcpy(out.data(), pattern().data() + at, out.size());
  std::memcpy(out.data(), &header, sizeof header);
}

class UdpReceiver {
 public:
  UdpReceiver(const Fd& socket, const UdpPlan& plan)
      : socket_(socket), plan_(plan), next_(plan.flows), sources_(plan.flows) {}

  Result<void> run() {
    const std::size_t per_round = plan_.sizes.size() * plan_.flows;
    for (std::uint32_t round = 0; round < plan_.rounds; ++round) {
      for (std::size_t i = 0; i < per_round; ++i) {
        auto got = receive_one();
        if (!got) {
          got.error().doing += ": datagram " + std::to_string(i) + " of " +
                               std::to_string(per_round) + " in round " + std::to_string(round);
          return got;
        }
      }
      for (const Address& source : sources_) {
        if (::sendto(socket_.get(), &round, sizeof round, 0, source.get(), source.bytes) < 0) {
          return fail("acknowledge");
        }
      }
    }
    return {};
  }

 private:
  Result<void> receive_one() {
    Address from;
    const ssize_t n =
        ::recvfrom(socket_.get(), got_.data(), got_.size(), 0, from.get(), &from.bytes);
    if (n < 0) return fail("receive");
    DatagramHeader header{};
    const auto size = static_cast<std::size_t>(n);
    if (size < sizeof header) return fail("datagram is too short", "", 0);
    std::memcpy(&header, got_.data(), sizeof header);
    if (header.flow >= plan_.flows || header.bytes != size) {
      return fail("header differs, " + std::to_string(n) + " bytes", "", 0);
    }
    const std::uint32_t expected = next_[header.flow]++;
    if (header.number != expected) {
      return fail("flow " + std::to_string(header.flow) + " shows " +
                      std::to_string(header.number) + " where " + std::to_string(expected) +
                      " was due",
                  "", 0);
    }
    write_datagram(std::span(expected_).first(size), header.flow, header.number);
    if (std::memcmp(expected_.data(), got_.data(), size) != 0)
      return fail("content differs", "", 0);
    sources_[header.flow] = from;
    return {};
  }

  const Fd& socket_;
  const UdpPlan& plan_;
  std::vector<std::uint32_t> next_;  // number due, per flow
  std::vector<Address> sources_;     // per flow
  std::vector<std::uint8_t> got_ = std::vector<std::uint8_t>(kLargestDatagram);
  std::vector<std::uint8_t> expected_ = std::vector<std::uint8_t>(kLargestDatagram);
};

/// One send call that the stack cuts into datagrams of segment_bytes (UDP GSO).
Result<void> send_segmented(int socket, std::span<std::uint8_t> data, std::uint32_t segment_bytes) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  iovec part{.iov_base = data.data(), .iov_len = data.size()};
  const msghdr message{.msg_name = nullptr,
                       .msg_namelen = 0,
                       .msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.data(),
                       .msg_controllen = control.size(),
                       .msg_flags = 0};
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  const auto segment = static_cast<std::uint16_t>(segment_bytes);
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof segment);
  std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
  if (::sendmsg(socket, &message, 0) < 0) return fail("send with UDP_SEGMENT");
  return {};
}

Result<void> send_round(const std::vector<Fd>& flows, const UdpPlan& plan, std::uint32_t round) {
  std::vector<std::uint8_t> data(kLargestDatagram);
  std::uint32_t number = round * static_cast<std::uint32_t>(plan.sizes.size());
  if (plan.segment_bytes != 0) {
    for (std::uint32_t flow = 0; flow < plan.flows; ++flow) {
      std::size_t used = 0;
      for (std::uint32_t i = 0; i < plan.sizes.size(); used += plan.sizes[i], ++i) {
        write_datagram(std::span(data).subspan(used, plan.sizes[i]), flow, number + i);
      }
      auto sent =
          send_segmented(flows[flow].get(), std::span(data).first(used), plan.segment_bytes);
      if (!sent) return sent;
    }
    return {};
  }
  for (const std::uint32_t size : plan.sizes) {
    for (std::uint32_t flow = 0; flow < plan.flows; ++flow) {
      write_datagram(std::span(data).first(size), flow, number);
      if (::send(flows[flow].get(), data.data(), size, 0) < 0) return fail("send a datagram");
    }
    ++number;
  }
  return {};
}

Result<void> send_rounds(const std::vector<Fd>& flows, const UdpPlan& plan) {
  for (std::uint32_t round = 0; round < plan.rounds; ++round) {
    auto sent = send_round(flows, plan, round);
    if (!sent) return sent;
    for (const Fd& flow : flows) {
      std::uint32_t acknowledged = 0;
      if (::recv(flow.get(), &acknowledged, sizeof acknowledged, 0) < 0) {
        return fail("wait for the acknowledgement of round " + std::to_string(round));
      }
      if (acknowledged != round) return fail("acknowledgement out of order", "", 0);
    }
  }
  return {};
}

/// One datagram there and back, so that both ends know their neighbour: while it is being resolved,
/// the sender's own stack may let a datagram overtake those that wait for it.
Result<void> introduce(const Fd& sender, const Fd& receiver) {
  char hello = 0;
  Address from;
  if (::send(sender.get(), &hello, 1, 0) != 1) return fail("send the first datagram");
  if (::recvfrom(receiver.get(), &hello, 1, 0, from.get(), &from.bytes) != 1) {
    return fail("receive the first datagram");
  }
  if (::sendto(receiver.get(), &hello, 1, 0, from.get(), from.bytes) != 1) {
    return fail("answer the first datagram");
  }
  if (::recv(sender.get(), &hello, 1, 0) != 1) return fail("receive the first answer");
  return {};
}

/// What went wrong first, of several threads; the rest only follows from it.
class FirstFailure {
 public:
  void note(const Result<void>& done) {
    const std::scoped_lock lock(mutex_);
    if (outcome_) outcome_ = done;
  }
  Result<void> get() { return std::move(outcome_); }

 private:
  std::mutex mutex_;
  Result<void> outcome_;
};

}  // namespace

Result<void> tcp_both_ways(const Route& route, std::uint64_t bytes_each_way) {
  const Address to = parse_address(route.to_address);
  const Fd listener = open_socket(route.to_netns, to.storage.ss_family, SOCK_STREAM);
  const Fd client = open_socket(route.from_netns, to.storage.ss_family, SOCK_STREAM);
  const auto bound = bind_to(listener, to);
  if (!bound) return std::unexpected(bound.error());
  if (::listen(listener.get(), 1) < 0) return fail("listen");
  if (::connect(client.get(), bound->get(), bound->bytes) < 0)
    return fail("connect to " + route.to_address);
  // Inherits the listener's time-outs.
  const Fd server{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!server.is_open()) return fail("accept");

  FirstFailure failure;
  const auto part = [&](auto* transfer, const Fd& end) {
    return std::jthread([&, transfer] {
      const Result<void> done = transfer(end.get(), bytes_each_way);
      failure.note(done);
      if (!done) ::shutdown(end.get(), SHUT_RDWR);  // the others would wait for what never comes
    });
  };
  {
    const std::array work = {part(check_stream, client), part(check_stream, server),
                             part(send_stream, client), part(send_stream, server)};
  }
  return failure.get();
}

Result<void> udp_in_order(const Route& route, const UdpPlan& plan) {
  const Address to = parse_address(route.to_address);
  const Fd receiver = open_socket(route.to_netns, to.storage.ss_family, SOCK_DGRAM);
  if (::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer,
                   sizeof kSocketBuffer) < 0) {
    return fail("enlarge the receive buffer");
  }
  const auto bound = bind_to(receiver, to);
  if (!bound) return std::unexpected(bound.error());
  std::vector<Fd> flows;
  for (std::uint32_t flow = 0; flow < plan.flows; ++flow) {
    flows.push_back(open_socket(route.from_netns, to.storage.ss_family, SOCK_DGRAM));
    const int fd = flows.back().get();
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer);
    if (::connect(fd, bound->get(), bound->bytes) < 0)
      return fail("connect to " + route.to_address);
  }
  if (auto met = introduce(flows.front(), receiver); !met) return met;
  FirstFailure failure;
  {
    const std::jthread receiving([&] { failure.note(UdpReceiver(receiver, plan).run()); });
    const std::jthread sending([&] { failure.note(send_rounds(flows, plan)); });
  }
  return failure.get();
}

}  // namespace vethd::system_test

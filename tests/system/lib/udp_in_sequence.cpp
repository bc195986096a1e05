#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <thread>

#include "tests/system/lib/pattern.hpp"
#include "tests/system/lib/sockets.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {

namespace {

// Rounds on their way at once: the next is sent while one is being received.
constexpr std::uint64_t kWindow = 2;

/// The bytes of the n-th datagram of all: its number, as far as it fits, in front of the pattern.
void write_numbered(std::span<std::uint8_t> out, std::uint64_t number) {
  const std::size_t at = number * 104729ULL % kBlockBytes;
  std::memcpy(out.data(), pattern().data() + at, out.size());
  if (out.size() >= sizeof number) std::memcpy(out.data(), &number, sizeof number);
}

std::uint16_t port_of(const Address& address) {
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  return address.storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port;
}

Result<std::uint16_t> own_port(const Fd& socket) {
  Address address;
  if (::getsockname(socket.get(), address.get(), &address.bytes) < 0) return fail("getsockname");
  return port_of(address);
}

/// What a socket receives, one datagram at a time, whether or not UDP_GRO hands out several.
class Datagrams {
 public:
  explicit Datagrams(const Fd& socket) : socket_(socket) {}

  Result<std::span<const std::uint8_t>> next() {
    if (rest_.empty()) {
      if (auto got = receive(); !got) return std::unexpected(got.error());
    } else {
      ++together_;
    }
    const auto one = rest_.first(std::min(segment_, rest_.size()));
    rest_ = rest_.subspan(one.size());
    return one;
  }

  [[nodiscard]] const Address& from() const { return from_; }
  [[nodiscard]] std::uint64_t together() const { return together_; }

 private:
  Result<void> receive() {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec part{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
    msghdr message{.msg_name = from_.get(),
                   .msg_namelen = sizeof from_.storage,
                   .msg_iov = &part,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size(),
                   .msg_flags = 0};
    const ssize_t n = TEMP_FAILURE_RETRY(::recvmsg(socket_.get(), &message, 0));
    if (n < 0) return fail("receive");
    if (n == 0) return fail("an empty datagram", "", 0);
    from_.bytes = message.msg_namelen;
    rest_ = std::span(buffer_).first(static_cast<std::size_t>(n));
    segment_ = rest_.size();
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
      int bytes = 0;
      std::memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
      segment_ = static_cast<std::size_t>(bytes);
    }
    return {};
  }

  const Fd& socket_;
  Address from_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kLargestDatagram);
  std::span<const std::uint8_t> rest_;  // of what was received last
  std::size_t segment_ = 0;
  std::uint64_t together_ = 0;
};

class SequenceReceiver {
 public:
  SequenceReceiver(const Fd& socket, const SequencePlan& plan, std::vector<std::uint16_t> ports)
      : socket_(socket), plan_(plan), ports_(std::move(ports)), datagrams_(socket) {}

  Result<void> run() {
    for (std::uint64_t round = 0; round < plan_.rounds; ++round) {
      for (const Datagram& due : plan_.round(round)) {
        if (auto got = check(due); !got) {
          got.error().doing += ", where datagram " + std::to_string(number_) + ", " +
                               std::to_string(due.bytes) + " bytes of flow " +
                               std::to_string(due.flow) + ", was due";
          return got;
        }
        ++number_;
      }
      const Address& last = datagrams_.from();
      if (TEMP_FAILURE_RETRY(
              ::sendto(socket_.get(), &round, sizeof round, 0, last.get(), last.bytes)) < 0) {
        return fail("acknowledge");
      }
    }
    return {};
  }

  [[nodiscard]] SequenceReport report() const {
    return {.datagrams = number_, .together = datagrams_.together()};
  }

 private:
  Result<void> check(const Datagram& due) {
    const auto got = datagrams_.next();
    if (!got) return std::unexpected(got.error());
    if (port_of(datagrams_.from()) != ports_[due.flow]) {
      return fail(std::to_string(got->size()) + " bytes of another flow", "", 0);
    }
    if (got->size() != due.bytes) return fail(std::to_string(got->size()) + " bytes", "", 0);
    expected_.resize(due.bytes);
    write_numbered(expected_, number_);
    if (!std::ranges::equal(*got, expected_)) return fail("other content", "", 0);
    return {};
  }

  const Fd& socket_;
  const SequencePlan& plan_;
  std::vector<std::uint16_t> ports_;  // by flow
  Datagrams datagrams_;
  std::uint64_t number_ = 0;
  std::vector<std::uint8_t> expected_;
};

class SequenceSender {
 public:
  SequenceSender(const std::vector<Fd>& flows, const SequencePlan& plan)
      : flows_(flows), plan_(plan) {}

  Result<void> run() {
    for (std::uint64_t round = 0; round < plan_.rounds; ++round) {
      if (round >= kWindow) {
        if (auto done = await(round - kWindow); !done) return done;
      }
      Result<void> sent;
      if (round == 0 && plan_.held) {
        plan_.held([&] { sent = send(round); });
      } else {
        sent = send(round);
      }
      if (!sent) return sent;
    }
    for (std::uint64_t round = plan_.rounds - std::min(kWindow, plan_.rounds); round < plan_.rounds;
         ++round) {
      if (auto done = await(round); !done) return done;
    }
    return {};
  }

 private:
  Result<void> send(std::uint64_t round) {
    for (const Datagram& each : plan_.round(round)) {
      data_.resize(each.bytes);
      write_numbered(data_, number_++);
      if (TEMP_FAILURE_RETRY(::send(flows_[each.flow].get(), data_.data(), data_.size(), 0)) < 0) {
        return fail("send a datagram");
      }
    }
    return {};
  }

  /// The receiver answers the flow that was last in the round.
  Result<void> await(std::uint64_t round) {
    std::uint64_t acknowledged = 0;
    const Fd& flow = flows_[plan_.round(round).back().flow];
    if (TEMP_FAILURE_RETRY(::recv(flow.get(), &acknowledged, sizeof acknowledged, 0)) < 0) {
      return fail("wait for the acknowledgement of round " + std::to_string(round));
    }
    if (acknowledged != round) return fail("acknowledgement out of order", "", 0);
    return {};
  }

  const std::vector<Fd>& flows_;
  const SequencePlan& plan_;
  std::uint64_t number_ = 0;
  std::vector<std::uint8_t> data_;
};

}  // namespace

Result<SequenceReport> udp_in_sequence(const Route& route, const SequencePlan& plan) {
  auto receiver = open_receiver(route.to_netns, parse_address(route.to_address));
  if (!receiver) return std::unexpected(receiver.error());
  std::vector<Fd> flows;
  std::vector<std::uint16_t> ports;
  for (std::uint32_t flow = 0; flow < plan.flows; ++flow) {
    auto sender = open_sender(route.from_netns, receiver->address);
    if (!sender) return std::unexpected(sender.error());
    const auto port = own_port(*sender);
    if (!port) return std::unexpected(port.error());
    flows.push_back(std::move(*sender));
    ports.push_back(*port);
  }
  if (auto met = introduce(flows.front(), receiver->socket); !met) {
    return std::unexpected(met.error());
  }
  const int gro = plan.gro ? 1 : 0;
  if (::setsockopt(receiver->socket.get(), SOL_UDP, UDP_GRO, &gro, sizeof gro) < 0) {
    return fail("UDP_GRO");
  }
  FirstFailure failure;
  SequenceReceiver receiving(receiver->socket, plan, std::move(ports));
  {
    const std::jthread there([&] { failure.note(receiving.run()); });
    const std::jthread here([&] { failure.note(SequenceSender(flows, plan).run()); });
  }
  if (auto done = failure.get(); !done) return std::unexpected(done.error());
  return receiving.report();
}

}  // namespace vethd::system_test

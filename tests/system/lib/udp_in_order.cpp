#include <netinet/in.h>
#include <netinet/udp.h>

#include <array>
#include <cstring>
#include <span>
#include <thread>

#include "tests/system/lib/pattern.hpp"
#include "tests/system/lib/sockets.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {

namespace {

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

}  // namespace

Result<void> udp_in_order(const Route& route, const UdpPlan& plan) {
  auto receiver = open_receiver(route.to_netns, parse_address(route.to_address));
  if (!receiver) return std::unexpected(receiver.error());
  std::vector<Fd> flows;
  for (std::uint32_t flow = 0; flow < plan.flows; ++flow) {
    auto sender = open_sender(route.from_netns, receiver->address);
    if (!sender) return std::unexpected(sender.error());
    flows.push_back(std::move(*sender));
  }
  if (auto met = introduce(flows.front(), receiver->socket); !met) return met;
  FirstFailure failure;
  {
    const std::jthread receiving([&] { failure.note(UdpReceiver(receiver->socket, plan).run()); });
    const std::jthread sending([&] { failure.note(send_rounds(flows, plan)); });
  }
  return failure.get();
}

}  // namespace vethd::system_test

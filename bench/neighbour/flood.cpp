#include "bench/neighbour/flood.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "bench/path/one_way.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd::bench {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kBatchSends = 16;  // per sendmmsg
constexpr auto kRetry = 1ms;

Result<Fd> open_sender(const Flood& flood) {
  Result<Fd> sender = connect_udp(flood.from_netns, flood.to_address);
  if (!sender) return sender;
  const int segment = static_cast<int>(flood.segment);
  if (segment > 0 &&
      ::setsockopt(sender->get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) {
    return fail("send in segments");
  }
  const std::vector<std::byte> payload(flood.bytes);
  if (::send(sender->get(), payload.data(), payload.size(), 0) < 0) {
    return fail("send to " + flood.to_address, "are the device, the neighbour, the sizes right?");
  }
  return sender;
}

[[noreturn]] void send_for_good(const Fd& socket, std::size_t bytes) {
  std::vector<std::byte> payload(bytes);
  iovec part{.iov_base = payload.data(), .iov_len = payload.size()};
  std::array<mmsghdr, kBatchSends> messages{};
  for (mmsghdr& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  while (true) {
    if (::sendmmsg(socket.get(), messages.data(), kBatchSends, 0) < 0) {
      std::this_thread::sleep_for(kRetry);
    }
  }
}

/// A file of /proc/net that has a line of names and one of numbers for each protocol.
Result<std::map<std::string, std::uint64_t>> read_counters(const std::string& path,
                                                           const std::string& protocol) {
  std::ifstream file(path);
  std::string line;
  std::string names;
  while (std::getline(file, line)) {
    if (!line.starts_with(protocol + ":")) continue;
    if (names.empty()) {
      names = line;
      continue;
    }
    std::istringstream name_words(names);
    std::istringstream number_words(line);
    std::string name;
    std::uint64_t number = 0;
    name_words >> name;
    number_words >> name;  // both start with the protocol
    std::map<std::string, std::uint64_t> counters;
    while (name_words >> name && number_words >> number) counters[name] = number;
    return counters;
  }
  return fail("read " + protocol + " of " + path, {}, 0);
}

}  // namespace

Result<void> flood(const Flood& flood) {
  Result<Fd> sink = bind_udp(flood.to_netns, flood.to_address);
  if (!sink) return pass(std::move(sink));
  std::vector<Fd> sockets;
  for (unsigned i = 0; i < flood.senders; ++i) {
    Result<Fd> sender = open_sender(flood);
    if (!sender) return pass(std::move(sender));
    sockets.push_back(std::move(*sender));
  }
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < flood.senders; ++i) {
    others.emplace_back([&, i] { send_for_good(sockets[i], flood.bytes); });
  }
  send_for_good(sockets.front(), flood.bytes);
}

Result<Carried> read_carried(const std::string& netns) {
  Result<Netns> ns = Netns::open({.kind = config::NetnsRef::Kind::name, .text = netns});
  if (!ns) return pass(std::move(ns));
  return in_netns(*ns, []() -> Result<Carried> {
    auto udp = read_counters("/proc/thread-self/net/snmp", "Udp");
    if (!udp) return pass(std::move(udp));
    auto ip = read_counters("/proc/thread-self/net/netstat", "IpExt");
    if (!ip) return pass(std::move(ip));
    // InErrors has those that no buffer had room for, InDatagrams those that were read.
    return Carried{.datagrams = (*udp)["InDatagrams"] + (*udp)["NoPorts"] + (*udp)["InErrors"],
                   .ip_octets = (*ip)["InOctets"]};
  });
}

}  // namespace vethd::bench

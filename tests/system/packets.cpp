// What acts on each packet at the receiver, or counts packets, meets as many as were sent: with the
// default configuration no packet is merged with another on its way from one TAP to the other.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sniffer.hpp"
#include "tests/system/lib/sockets.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

constexpr unsigned kDatagrams =
    40;  // of one flow, one size, sent at once: as fit for merging as any
constexpr std::size_t kPayload = 100;
constexpr std::size_t kIpBytes = 20 + 8 + kPayload;
constexpr milliseconds kSoon = 5s;

std::uint64_t counted(const std::string& netns, const std::string& name) {
  const Finished done = run(words("nstat -asz --json"), {.netns = netns});
  if (done.exit_code != 0) throw std::runtime_error("nstat: " + done.err);
  return number(json::parse(done.out).at("kernel").as_object(), name);
}

/// A datagram as the socket got it, and what came with it.
struct Received {
  std::size_t bytes = 0;
  std::optional<std::pair<std::int64_t, std::int64_t>> stamp;  // SO_TIMESTAMPNS: s, ns
};

std::optional<Received> receive(const Fd& socket, int flags) {
  std::array<std::uint8_t, 65536> bytes{};
  alignas(cmsghdr) std::array<std::uint8_t, 256> control{};
  iovec into{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = TEMP_FAILURE_RETRY(::recvmsg(socket.get(), &message, flags));
  if (got < 0) return std::nullopt;
  Received received{.bytes = static_cast<std::size_t>(got), .stamp = {}};
  for (const cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr;
       each = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(each))) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SO_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
    received.stamp.emplace(stamp.tv_sec, stamp.tv_nsec);
  }
  return received;
}

class Packets : public OnWires {
 protected:
  void connect_red_to_blue() {
    connect({.pairs = {red_to_blue()}});
    ASSERT_TRUE(pings("red", "-4 192.168.1.2"));  // neighbours are known
  }

  /// Sends at once, so that on vethd all are read together.
  void burst(const std::string& to, std::uint16_t port, int ttl = 64) {
    const Fd red = open_socket("red", AF_INET, SOCK_DGRAM);  // not connected: no error comes back
    ASSERT_EQ(::setsockopt(red.get(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
    Address address = parse_address(to);
    reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
    const std::array<std::uint8_t, kPayload> payload{};
    const auto send = [&] {
      for (unsigned i = 0; i < kDatagrams; ++i)
        EXPECT_EQ(
            ::sendto(red.get(), payload.data(), payload.size(), 0, address.get(), address.bytes),
            static_cast<ssize_t>(payload.size()));
    };
    if (on_vethd())
      daemon().while_stopped(send);
    else
      send();
  }

  static testing::AssertionResult becomes(const std::string& netns, const std::string& name,
                                          std::uint64_t expected) {
    const auto is_so = [&] { return counted(netns, name) == expected; };
    auto met = wait_until(is_so, kSoon, name);
    if (!met) met << " to be " << expected << "; it is " << counted(netns, name);
    return met;
  }
};

// Of those, blue's is the kernel's own or a TAP's: an AF_XDP end sends packets one by one anyway.
constexpr std::array kWires = {Wire::kernel_veth, Wire::vethd, Wire::xdp_tap_copy};
VETHD_ON_WIRES(kWires, Packets);

TEST_P(Packets, SocketsOfAnyKindGetEachWithATimeOfItsOwn) {
  ASSERT_NO_FATAL_FAILURE(connect_red_to_blue());
  const auto blue = open_receiver("blue", parse_address("192.168.1.2"));
  ASSERT_TRUE(blue) << blue.error().text();
  const int on = 1;
  ASSERT_EQ(::setsockopt(blue->socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on), 0);
  const Fd raw{inside("blue", [] {
    return ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  })};
  ASSERT_TRUE(raw.is_open());
  Sniffer sniffer("blue", "veth1");
  burst("192.168.1.2",
        ntohs(reinterpret_cast<const sockaddr_in*>(&blue->address.storage)->sin_port));

  std::set<std::pair<std::int64_t, std::int64_t>> stamps;
  for (unsigned i = 0; i < kDatagrams; ++i) {
    const auto datagram = receive(blue->socket, 0);
    ASSERT_TRUE(datagram) << "datagram " << i;
    EXPECT_EQ(datagram->bytes, kPayload);
    if (datagram->stamp) stamps.insert(*datagram->stamp);
  }
  EXPECT_EQ(stamps.size(), kDatagrams);

  // Those two are given a packet before the socket of its port is.
  unsigned packets = 0;
  while (const auto packet = receive(raw, MSG_DONTWAIT))
    if (packet->bytes == kIpBytes) ++packets;
  EXPECT_EQ(packets, kDatagrams) << "at a raw socket";
  sniffer.read();
  const auto is_one = [](const Captured& frame) {
    return frame.bytes.size() == 14 + kIpBytes && frame.vnet.gso_type == kGsoNone;
  };
  EXPECT_EQ(std::ranges::count_if(sniffer.received(), is_one), kDatagrams) << "at a packet socket";
}

TEST_P(Packets, EachToAClosedPortIsCountedAndAnswered) {
  ASSERT_NO_FATAL_FAILURE(connect_red_to_blue());
  set_sysctl("blue", "net.ipv4.icmp_ratemask", "0");  // no limits
  burst("192.168.1.2", 9);
  EXPECT_TRUE(becomes("blue", "UdpNoPorts", kDatagrams));
  EXPECT_TRUE(becomes("red", "IcmpInDestUnreachs", kDatagrams));
}

TEST_P(Packets, EachWithoutHopsLeftIsAnswered) {
  ASSERT_NO_FATAL_FAILURE(connect_red_to_blue());
  set_sysctl("blue", "net.ipv4.icmp_ratemask", "0");
  set_sysctl("blue", "net.ipv4.ip_forward", "1");
  ip("-n red route add 10.9.0.0/24 via 192.168.1.2");
  ip("-n blue route add 10.9.0.0/24 via 192.168.1.3");  // nobody, and nothing gets that far
  burst("10.9.0.1", 33434, 1);
  EXPECT_TRUE(becomes("red", "IcmpInTimeExcds", kDatagrams));
}

struct Rules {
  std::uint64_t passed = 0;
  std::uint64_t seen = 0;
};

/// The counters of the rules that the test below makes.
Rules rules_of_blue() {
  const Finished done = run(words("nft -j list table ip counted"), {.netns = "blue"});
  if (done.exit_code != 0) throw std::runtime_error("nft: " + done.err);
  Rules rules;
  const json::value listed = json::parse(done.out);
  for (const json::value& entry : listed.at("nftables").as_array()) {
    const json::value* counter = entry.as_object().if_contains("counter");
    if (counter == nullptr) continue;
    const std::uint64_t packets = number(counter->as_object(), "packets");
    (counter->at("name") == "passed" ? rules.passed : rules.seen) = packets;
  }
  return rules;
}

TEST_P(Packets, ALimitOfNftablesLetsAsManyPassAsItSays) {
  ASSERT_NO_FATAL_FAILURE(connect_red_to_blue());
  // One an hour, so that it is no matter of time how many pass.
  for (const char* command :
       {"add table ip counted", "add counter ip counted seen", "add counter ip counted passed",
        "add chain ip counted in { type filter hook input priority 0 ; }",
        "add rule ip counted in meta l4proto != udp accept",
        "add rule ip counted in counter name seen",
        "add rule ip counted in limit rate 1/hour burst 5 packets counter name passed"}) {
    const Finished done = run(words(std::string("nft ") + command), {.netns = "blue"});
    ASSERT_EQ(done.exit_code, 0) << command << ": " << done.err;
  }
  burst("192.168.1.2", 9);
  const auto all_seen = [] { return rules_of_blue().seen == kDatagrams; };
  EXPECT_TRUE(wait_until(all_seen, kSoon, "each packet to meet the rules"));
  EXPECT_EQ(rules_of_blue().passed, 5U);
}

}  // namespace
}  // namespace vethd::system_test

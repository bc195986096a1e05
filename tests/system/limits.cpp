// Where frames stop: MTU, forwardability, backlog.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

using WireAndMtu = std::tuple<Wire, unsigned>;

class Mtu : public OnAWire, public testing::WithParamInterface<WireAndMtu> {
 protected:
  Mtu() : OnAWire(std::get<Wire>(GetParam())) {}
};

std::string wire_and_mtu(const testing::TestParamInfo<WireAndMtu>& info) {
  const auto& [wire, mtu] = info.param;
  return name_of(wire) + '_' + std::to_string(mtu);
}
INSTANTIATE_TEST_SUITE_P(Wire, Mtu,
                         testing::Combine(testing::ValuesIn(kEveryWire),
                                          testing::Values(1500U, 9000U, 65521U)),
                         wire_and_mtu);

TEST_P(Mtu, IsFilledByPacketsThatMayNotBeFragmented) {
  const unsigned mtu = std::get<unsigned>(GetParam());
  Pair pair = red_to_blue();
  pair.a.mtu = pair.b.mtu = mtu;
  connect({.pairs = {pair}});
  constexpr unsigned kHeadersV4 = 20 + 8;
  constexpr unsigned kHeadersV6 = 40 + 8;
  constexpr unsigned kLargestPing = 65507;  // IPv4's, and iputils applies it to both
  const unsigned fill_v4 = std::min(mtu - kHeadersV4, kLargestPing);
  const unsigned fill_v6 = std::min(mtu - kHeadersV6, kLargestPing);
  EXPECT_TRUE(pings("red", "-4 -M do -s " + std::to_string(fill_v4) + " 192.168.1.2"));
  EXPECT_TRUE(pings("blue", "-6 -M do -s " + std::to_string(fill_v6) + " fd00::1"));
  EXPECT_EQ(link_of("red", "veth0").mtu, mtu);

  const auto sent = tcp_both_ways({"red", "blue", "192.168.1.2"}, volume(256ULL << 20));
  EXPECT_TRUE(sent) << sent.error().text();
}

class Limits : public OnWires {};
VETHD_ON_WIRES(kEveryWire, Limits);

TEST_P(Limits, FramesOf1518BytesPassAndOf1519DropAtMtu1500) {
  Pair pair = red_to_blue();
  pair.a.mtu = 9000;  // the sender's own stack must not be what refuses them
  connect({.pairs = {pair}});
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  constexpr std::uint32_t kTooLong = 1519;
  constexpr std::uint32_t kLongest = 1518;
  // Kernel veth tells the sender (ENOBUFS); a TAP cannot, nor can a veth that passes it on.
  const auto refused = red.send(test_frame(kTooLong, kTooLong));
  EXPECT_EQ(refused.has_value(), on_vethd());
  ASSERT_TRUE(red.send(test_frame(kLongest, kLongest)));
  // Frames keep their order, so the second to arrive first means the first was dropped.
  EXPECT_EQ(blue.receive(2s), test_frame(kLongest, kLongest));
  if (on_vethd()) {
    EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "drop_not_forwardable=1 ");
    EXPECT_EQ(drops_in(ledger("web", "b_to_a")), "");
  }
}

class Backlog : public OnWires {};
VETHD_ON_WIRES(kDaemonsWires, Backlog);

/// Small numbered datagrams from red to blue, unpaced.
class Burst {
 public:
  Burst() {
    const sockaddr_in any{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
    sockaddr_in to{};
    socklen_t to_bytes = sizeof to;
    const int buffer_bytes = 8 << 20;
    invariant(
        ::bind(receiver_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0 &&
            ::getsockname(receiver_.get(), reinterpret_cast<sockaddr*>(&to), &to_bytes) == 0 &&
            ::setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes,
                         sizeof buffer_bytes) == 0 &&
            ::inet_pton(AF_INET, "192.168.1.2", &to.sin_addr) == 1 &&
            ::connect(sender_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0,
        "a datagram socket connects to another namespace");
  }

  void send(unsigned datagrams) {
    for (unsigned i = 0; i < datagrams; ++i, ++sent_)
      ::send(sender_.get(), &sent_, sizeof sent_, 0);
  }

  /// How many arrived; fails the test when one is out of order.
  unsigned receive() {
    unsigned count = 0;
    std::uint32_t number = 0;
    while (::recv(receiver_.get(), &number, sizeof number, MSG_DONTWAIT) == sizeof number) {
      EXPECT_TRUE(received_ == 0 || number > last_) << number << " came after " << last_;
      last_ = number;
      ++received_;
      ++count;
    }
    return count;
  }

  [[nodiscard]] std::uint32_t sent() const { return sent_; }
  [[nodiscard]] std::uint32_t received() const { return received_; }

 private:
  static Fd datagram_socket() { return Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}; }
  Fd receiver_ = inside("blue", datagram_socket);
  Fd sender_ = inside("red", datagram_socket);
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
  std::uint32_t last_ = 0;
};

TEST_P(Backlog, OfTenDropsUnderRpsAndTheLedgerSaysWhere) {
  Pair pair = red_to_blue();
  pair.a.addresses = {"192.168.1.1/24"};
  pair.b.addresses = {"192.168.1.2/24"};
  pair.b.rps_cpus = {1};  // one pair, one queue: read by CPU 0
  make_netns("red");
  // No multicast reports or router solicitations among the frames that are counted.
  set_sysctl("red", "net.ipv6.conf.default.disable_ipv6", "1");
  connect({.pairs = {pair}, .softnet = "[softnet]\nnetdev_max_backlog = 10\n"});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));  // learn the neighbour before the burst

  Burst burst;
  const auto dropped = [&] {
    burst.send(1000);
    return number(ledger("web", "a_to_b"), "drop_cpu_backlog") > 0;
  };
  EXPECT_TRUE(wait_until(dropped, 10s, "a drop for want of backlog"));
  ASSERT_TRUE(wait_until(ledgers_at_rest, 2s, "every frame accounted for"));
  const auto settled = [&] { return burst.receive() == 0; };
  EXPECT_TRUE(wait_until(settled, 2s, "the receiver to have read all"));

  const auto there = ledger("web", "a_to_b");
  const std::uint64_t drops = number(there, "drop_cpu_backlog");
  EXPECT_EQ(drops_in(there), "drop_cpu_backlog=" + std::to_string(drops) + " ");
  EXPECT_EQ(drops_in(ledger("web", "b_to_a")), "");
  // Charged to the CPU whose queue was full, not to the one that found it so.
  EXPECT_EQ(number(softnet("default", 1), "dropped"), drops);
  EXPECT_EQ(number(softnet("default", 0), "dropped"), 0U);
  // Sent = received + dropped here + refused before the daemon read them, or after it sent them.
  EXPECT_EQ(burst.sent(), burst.received() + drops + lost_outside(pair, "a_to_b"));
}

TEST_P(Backlog, SetAtRunTimeIsWhereDropsStart) {
  connect({.pairs = {red_to_blue()}});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  EXPECT_EQ(number(softnet("default", 1), "processed"), 0U) << "one queue: CPU 0 does all";
  const Finished rps = run_vethctl({"set", "web", "b", "rps_cpus=1"});
  EXPECT_EQ(rps.out, "rps_cpus = 1\n") << rps.err;

  Burst burst;
  burst.send(500);
  ASSERT_TRUE(wait_until(ledgers_at_rest, 2s, "every frame accounted for"));
  EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "");
  EXPECT_GT(number(softnet("default", 1), "processed"), 0U);

  const Finished set = run_vethctl({"sysctl", "-w", "net.core.netdev_max_backlog=10"});
  EXPECT_EQ(set.out, "net.core.netdev_max_backlog = 10\n") << set.err;
  const auto dropped = [&] {
    burst.send(1000);
    return number(ledger("web", "a_to_b"), "drop_cpu_backlog") > 0;
  };
  EXPECT_TRUE(wait_until(dropped, 10s, "a drop for want of backlog"));
  ASSERT_TRUE(wait_until(ledgers_at_rest, 2s, "every frame accounted for"));
  EXPECT_EQ(number(softnet("default", 1), "dropped"),
            number(ledger("web", "a_to_b"), "drop_cpu_backlog"));
}

TEST_P(Backlog, OfOneMachineIsNotFilledByAnother) {
  Pair small = red_to_blue();
  small.softnet = "small";
  small.b.rps_cpus = {1};
  const Pair roomy = {
      .name = "roomy",
      .a = {.netns = "red", .ifname = "r0", .addresses = {"10.0.0.1/24"}},
      .b = {.netns = "green", .ifname = "r1", .addresses = {"10.0.0.2/24"}, .rps_cpus = {1}}};
  connect({.pairs = {small, roomy}, .softnet = "[softnet.small]\nnetdev_max_backlog = 10\n"});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));

  Burst burst;
  const auto dropped = [&] {
    burst.send(1000);
    return number(ledger("web", "a_to_b"), "drop_cpu_backlog") > 0;
  };
  EXPECT_TRUE(wait_until(dropped, 10s, "a drop in the small machine"));
  const auto sent =
      udp_in_order({"red", "green", "10.0.0.2"}, {.rounds = 200, .sizes = {100, 1400}});
  EXPECT_TRUE(sent) << sent.error().text();
  EXPECT_GT(number(softnet("small", 1), "dropped"), 0U);
  EXPECT_EQ(number(softnet("default", 1), "dropped"), 0U);
  EXPECT_EQ(drops_in(ledger("roomy", "a_to_b")), "");
}

}  // namespace
}  // namespace vethd::system_test

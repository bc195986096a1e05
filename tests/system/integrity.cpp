// Transfers while frames are merged on delivery: every byte, every boundary, all of the order.
//
// VETHD_SOAK_MIB=4096 in the environment makes each of them that long (tests/soak.sh).
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <mutex>
#include <ostream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sniffer.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

constexpr milliseconds kSoon = 5s;
constexpr std::uint64_t kMebibyte = 1ULL << 20;
constexpr std::uint32_t kFlows = 64;
constexpr std::uint32_t kLargest = 1452;  // bytes of a datagram in one IPv6 frame at MTU 1500
// Two rounds, as many as are on their way at once, fit the ring of a veth that polls.
constexpr std::uint32_t kFlowsThroughAVeth = 20;
constexpr std::uint32_t kRun = 4;  // datagrams of one size that follow each other

/// Bytes that a transfer carries each way.
std::uint64_t load(std::uint64_t in_a_short_run) {
  const char* soak = std::getenv("VETHD_SOAK_MIB");  // NOLINT(concurrency-mt-unsafe)
  return soak != nullptr ? std::stoull(soak) * kMebibyte : in_a_short_run;
}

/// Each flow's turn: a run of one size, which may be written as one, a shorter datagram, which ends
/// it, and one of another size. Sizes go from 1 to `largest` and around.
std::vector<Datagram> mixed_round(std::uint64_t round, std::uint32_t flows, std::uint32_t largest) {
  std::vector<Datagram> made;
  for (std::uint32_t flow = 0; flow < flows; ++flow) {
    const std::uint64_t turn = round * flows + flow;
    const auto size = static_cast<std::uint32_t>(1 + turn % largest);
    for (std::uint32_t i = 0; i < kRun; ++i) made.push_back({.flow = flow, .bytes = size});
    made.push_back({.flow = flow, .bytes = (size + 1) / 2});
    made.push_back({.flow = flow, .bytes = static_cast<std::uint32_t>(1 + turn * 7919 % largest)});
  }
  return made;
}

/// As many rounds as carry this much, and at least those that have every size.
std::uint64_t rounds_of(std::uint64_t bytes, std::uint32_t flows, std::uint32_t largest) {
  const std::uint64_t a_round = std::uint64_t{flows} * (kRun + 2) * largest / 2;  // on average
  return std::max<std::uint64_t>(bytes / a_round, largest / flows + 1);
}

class Integrity : public OnAWire {
 protected:
  using OnAWire::OnAWire;

  static Pair merging() {
    Pair pair = red_to_blue();
    pair.coalesce = "always";
    return pair;
  }

  [[nodiscard]] std::uint32_t flows() const { return on_xdp() ? kFlowsThroughAVeth : kFlows; }

  /// Sends while the daemon stands still, so that frames surely meet; one sender at a time.
  Hold held() {
    return [this](const std::function<void()>& send) {
      const std::scoped_lock turn(held_);
      daemon().while_stopped(send);
    };
  }

  /// Merging took place in each direction to a TAP, and both ledgers count real frames.
  void expect_merged() {
    EXPECT_TRUE(wait_until(ledgers_at_rest, kSoon, "ledgers at rest"));
    for (const auto& [direction, to_xdp] :
         {std::pair("a_to_b", b_is_xdp()), std::pair("b_to_a", a_is_xdp())}) {
      const json::object way = ledger("web", direction);
      EXPECT_EQ(number(way, "tx_coalesced") == 0, to_xdp) << direction;
      EXPECT_EQ(number(way, "rx_frames"), number(way, "tx_frames")) << direction;
      EXPECT_EQ(drops_in(way), "") << direction;
    }
  }

  bool nothing_was_lost() {
    return std::ranges::all_of(std::array{"a_to_b", "b_to_a"}, [this](const char* direction) {
      return drops_in(ledger("web", direction)).empty() &&
             lost_outside(red_to_blue(), direction) == 0;
    });
  }

 private:
  std::mutex held_;
};

json::object nstat(const std::string& netns) {
  const Finished done = run(words("nstat -asz --json"), {.netns = netns});
  if (done.exit_code != 0) throw std::runtime_error("nstat: " + done.err);
  return json::parse(done.out).at("kernel").as_object();
}

/// A frame that merging spoils is sent again by TCP, and the stream is whole all the same; but the
/// stack that got it has counted it.
void expect_clean_arrival(const std::string& netns) {
  const json::object counted = nstat(netns);
  for (const char* name :
       {"IpInHdrErrors", "IpInDiscards", "Ip6InHdrErrors", "Ip6InDiscards", "IpExtInCsumErrors",
        "IpExtInTruncatedPkts", "Ip6InTruncatedPkts", "TcpInErrs", "TcpInCsumErrors", "UdpInErrors",
        "UdpInCsumErrors", "Udp6InErrors", "Udp6InCsumErrors"}) {
    if (const json::value* value = counted.if_contains(name)) {
      EXPECT_EQ(value->to_number<std::uint64_t>(), 0U) << netns << ' ' << name;
    }
  }
  ASSERT_TRUE(counted.contains("TcpInCsumErrors") && counted.contains("UdpInCsumErrors"));
}

struct Sender {
  const char* name;
  const char* to;
  bool tso;
};
std::ostream& operator<<(std::ostream& out, const Sender& sender) { return out << sender.name; }

constexpr Sender kSegmentsV4 = {"segments", "192.168.1.2", false};
constexpr Sender kSegmentsV6 = {"segments_v6", "fd00::2", false};
constexpr Sender kSuperFrames = {"super_frames", "192.168.1.2", true};

using WireAndSender = std::tuple<Wire, Sender>;

class TcpIntegrity : public Integrity, public testing::WithParamInterface<WireAndSender> {
 protected:
  TcpIntegrity() : Integrity(std::get<Wire>(GetParam())) {}
};

std::string wire_and_sender(const testing::TestParamInfo<WireAndSender>& info) {
  return name_of(std::get<Wire>(info.param)) + '_' + std::get<Sender>(info.param).name;
}
INSTANTIATE_TEST_SUITE_P(Segments, TcpIntegrity,
                         testing::Combine(testing::ValuesIn(kDaemonsWires),
                                          testing::Values(kSegmentsV4, kSegmentsV6)),
                         wire_and_sender);
// From a TAP: a veth whose other side has AF_XDP sockets sends none.
INSTANTIATE_TEST_SUITE_P(SuperFrames, TcpIntegrity,
                         testing::Combine(testing::Values(Wire::vethd, Wire::tap_xdp_copy,
                                                          Wire::xdp_tap_copy),
                                          testing::Values(kSuperFrames)),
                         wire_and_sender);

TEST_P(TcpIntegrity, BothWaysAtOnceInWritesOfAnySize) {
  const Sender& sender = std::get<Sender>(GetParam());
  Pair pair = merging();
  pair.a.tso = pair.b.tso = sender.tso;
  connect({.pairs = {pair}});
  const TcpPlan plan{
      .bytes_each_way = load(volume(48 * kMebibyte)),
      .writes = {1, 13, 536, 1448, 1449, 4000, 65536, 2, 200, 200, 200, 100, 262144, 7, 30000},
      .held = held()};
  const auto done = tcp_exchange({"red", "blue", sender.to}, plan);
  ASSERT_TRUE(done) << done.error().text();

  // A delay alone makes a sender repeat a segment: that many says something, but not what is wrong.
  std::printf("%llu MiB each way, %llu segments retransmitted\n",
              static_cast<unsigned long long>(plan.bytes_each_way / kMebibyte),
              static_cast<unsigned long long>(done->retransmitted));
  RecordProperty("retransmitted", std::to_string(done->retransmitted));
  for (const char* netns : {"red", "blue"}) {
    expect_clean_arrival(netns);
    // The veth behind an AF_XDP socket has the kernel's backlog of the CPU that a worker sends on:
    // what it sends after it has moved may overtake what it sent before.
    if (!on_xdp() && nothing_was_lost()) {
      EXPECT_EQ(number(nstat(netns), "TcpExtTCPOFOQueue"), 0U) << netns;
    }
  }
  if (!sender.tso) expect_merged();  // super-frames of the sender stay as they are
}

using WireAndGro = std::tuple<Wire, bool>;

class UdpIntegrity : public Integrity, public testing::WithParamInterface<WireAndGro> {
 protected:
  UdpIntegrity() : Integrity(std::get<Wire>(GetParam())) {}
};

std::string wire_and_gro(const testing::TestParamInfo<WireAndGro>& info) {
  const auto& [wire, gro] = info.param;
  return name_of(wire) + (gro ? "_with_udp_gro" : "_plain");
}
INSTANTIATE_TEST_SUITE_P(Plain, UdpIntegrity,
                         testing::Combine(testing::ValuesIn(kDaemonsWires), testing::Values(false)),
                         wire_and_gro);
// At a TAP: nothing is merged for AF_XDP sockets.
INSTANTIATE_TEST_SUITE_P(Gro, UdpIntegrity,
                         testing::Combine(testing::Values(Wire::vethd, Wire::tap_xdp_copy,
                                                          Wire::xdp_tap_copy),
                                          testing::Values(true)),
                         wire_and_gro);

TEST_P(UdpIntegrity, FlowsOfEverySizeBothWaysAtOnce) {
  const bool gro = std::get<bool>(GetParam());
  connect({.pairs = {merging()}});
  struct Way {
    Route route;
    std::uint32_t largest;
    bool to_xdp;
  };
  const auto both_ways = [this](const char* red, const char* blue, std::uint32_t largest) {
    return std::array{Way{{"red", "blue", blue}, largest, b_is_xdp()},
                      Way{{"blue", "red", red}, largest, a_is_xdp()}};
  };
  for (const auto& ways : {both_ways("192.168.1.1", "192.168.1.2", kLargest + 20),
                           both_ways("fd00::1", "fd00::2", kLargest)}) {
    std::vector<std::future<Result<SequenceReport>>> sent;
    for (const Way& way : ways) {
      sent.push_back(std::async(std::launch::async, [this, way, gro] {
        return udp_in_sequence(
            way.route,
            {.flows = flows(),
             .rounds = rounds_of(load(volume(16 * kMebibyte)), flows(), way.largest),
             .round = [&](std::uint64_t round) { return mixed_round(round, flows(), way.largest); },
             .gro = gro,
             .held = held()});
      }));
    }
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const auto done = sent[i].get();
      ASSERT_TRUE(done) << ways[i].route.to_address << ": " << done.error().text();
      EXPECT_EQ(done->together > 0, gro && !ways[i].to_xdp) << "the socket saw super-frames";
    }
  }
  for (const char* netns : {"red", "blue"}) expect_clean_arrival(netns);
  EXPECT_TRUE(nothing_was_lost());
  expect_merged();
}

// red: veth0 ===== vethd ===== veth1 :blue: up0 ----- kernel veth ----- up1 :green
class RoutedIntegrity : public Integrity, public testing::WithParamInterface<Wire> {
 protected:
  RoutedIntegrity() : Integrity(GetParam()) {}

  void start_routed() {
    Pair pair = merging();
    pair.a.tso = pair.b.tso = false;  // so that both hand over segments, which can be merged
    const Pair uplink = {
        .name = "uplink",
        .a = {.netns = "blue", .ifname = "up0", .addresses = {"10.9.0.1/24", "fd09::1/64"}},
        .b = {.netns = "green", .ifname = "up1", .addresses = {"10.9.0.2/24", "fd09::2/64"}}};
    make_netns_for({.pairs = {pair, uplink}});
    for (const char* netns :
         {"red", "blue", "green"}) {  // or link-local addresses are not yet usable
      set_sysctl(netns, "net.ipv6.conf.all.accept_dad", "0");
      set_sysctl(netns, "net.ipv6.conf.default.accept_dad", "0");
    }
    make_kernel_veth({.pairs = {uplink}});
    connect({.pairs = {pair}});
    set_sysctl("blue", "net.ipv4.ip_forward", "1");
    set_sysctl("blue", "net.ipv6.conf.all.forwarding", "1");
    ip("-n red route add 10.9.0.0/24 via 192.168.1.2");
    ip("-n red route add fd09::/64 via fd00::2");
    ip("-n green route add 192.168.1.0/24 via 10.9.0.1");
    ip("-n green route add fd00::/64 via fd09::1");
    // Neighbours on both links are known when the first burst comes.
    for (const char* to : {"-4 10.9.0.2", "-6 fd09::2"}) ASSERT_TRUE(pings("red", to));
  }

  /// As held(), for senders beyond blue: until blue has passed on as many frames.
  Hold held_until_forwarded(std::uint64_t frames) {
    return [this, frames](const std::function<void()>& send) {
      daemon().while_stopped([&] {
        Sniffer leaving_blue("blue", "veth1");  // only now: it takes in all there is
        send();
        const auto forwarded = [&] {
          leaving_blue.read();
          return leaving_blue.sent() >= frames;
        };
        EXPECT_TRUE(wait_until(forwarded, kSoon, "blue to forward what green sent"));
      });
    };
  }
};

VETHD_ON_WIRES(kDaemonsWires, RoutedIntegrity);

TEST_P(RoutedIntegrity, TcpBetweenRedAndGreen) {
  ASSERT_NO_FATAL_FAILURE(start_routed());
  constexpr std::uint64_t kSegments = 4;  // green sends seven at least
  const auto done = tcp_exchange(
      {"red", "green", "10.9.0.2"},
      {.bytes_each_way = load(volume(32 * kMebibyte)), .held = held_until_forwarded(kSegments)});
  ASSERT_TRUE(done) << done.error().text();
  for (const char* netns : {"red", "blue", "green"}) expect_clean_arrival(netns);
  expect_merged();
  std::printf("%llu segments retransmitted\n",
              static_cast<unsigned long long>(done->retransmitted));
}

TEST_P(RoutedIntegrity, TcpBetweenRedAndGreenOverIpv6) {
  ASSERT_NO_FATAL_FAILURE(start_routed());
  const auto done =
      tcp_exchange({"red", "green", "fd09::2"}, {.bytes_each_way = volume(8 * kMebibyte)});
  ASSERT_TRUE(done) << done.error().text();
  for (const char* netns : {"red", "blue", "green"}) expect_clean_arrival(netns);
}

TEST_P(RoutedIntegrity, DatagramsFromRedToGreenAndBack) {
  ASSERT_NO_FATAL_FAILURE(start_routed());
  constexpr std::uint32_t kV4 = kLargest + 20;
  const auto plan = [this](std::uint32_t largest, Hold hold) {
    return SequencePlan{
        .flows = flows(),
        .rounds = rounds_of(load(volume(8 * kMebibyte)), flows(), largest),
        .round = [this,
                  largest](std::uint64_t round) { return mixed_round(round, flows(), largest); },
        .held = std::move(hold)};
  };
  const std::uint64_t in_a_round = mixed_round(0, flows(), kV4).size();
  const auto there = udp_in_sequence({"red", "green", "10.9.0.2"}, plan(kV4, held()));
  ASSERT_TRUE(there) << there.error().text();
  const auto back =
      udp_in_sequence({"green", "red", "192.168.1.1"}, plan(kV4, held_until_forwarded(in_a_round)));
  ASSERT_TRUE(back) << back.error().text();
  const auto v6 = udp_in_sequence({"red", "green", "fd09::2"}, plan(kLargest, held()));
  ASSERT_TRUE(v6) << v6.error().text();
  for (const char* netns : {"red", "blue", "green"}) expect_clean_arrival(netns);
  expect_merged();
}

}  // namespace
}  // namespace vethd::system_test

// Merge on delivery where it is asked for, frame by frame: what leaves as one, what stays alone,
// what a router passes on. Frames are sent while the daemon stands still, so that they surely meet.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/system/lib/crafted.hpp"
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sniffer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

constexpr milliseconds kSoon = 5s;

using Maker = std::function<Input(const Packet&)>;

/// A protocol whose frames may be merged.
struct Flow {
  const char* name;
  Maker make;
  bool v6;
};
std::ostream& operator<<(std::ostream& out, const Flow& flow) { return out << flow.name; }
const Flow kTcp4 = {"tcp4", tcp, false};
const Flow kUdp4 = {"udp4", udp, false};
const Flow kTcp6 = {"tcp6", tcp, true};
const Flow kUdp6 = {"udp6", udp, true};
const std::vector<Flow> kFlows = {kTcp4, kUdp4, kTcp6, kUdp6};

std::string flow_name(const testing::TestParamInfo<Flow>& info) { return info.param.name; }

/// count frames of a stream, each as `change` leaves it.
std::vector<Input> stream(const Flow& flow, unsigned count,
                          const std::function<void(Packet&)>& change = {}) {
  std::vector<Input> made;
  for (unsigned n = 1; n <= count; ++n) {
    Packet packet{.n = n, .v6 = flow.v6};
    if (change) change(packet);
    made.push_back(flow.make(packet));
  }
  return made;
}

/// Some of every protocol, one behind the other.
std::vector<Input> streams() {
  std::vector<Input> made;
  for (const Flow& flow : kFlows) {
    const auto some = stream(flow, 12);
    made.insert(made.end(), some.begin(), some.end());
  }
  return made;
}

std::size_t bytes_of(const std::vector<Input>& frames) {
  std::size_t bytes = 0;
  for (const Input& frame : frames) bytes += frame.bytes.size();
  return bytes;
}

/// red/veth0 to blue/veth1 without any address: on the wire is what the test puts there.
class Coalesce : public System {
 protected:
  static Pair bare_pair() {
    Pair pair = red_to_blue();
    pair.a.addresses = pair.b.addresses = {};
    pair.coalesce = "always";
    return pair;
  }

  /// A namespace whose stack keeps silent.
  void make_silent(const std::string& name) {
    make_netns(name);
    set_sysctl(name, "net.ipv6.conf.all.disable_ipv6", "1");
    set_sysctl(name, "net.ipv6.conf.default.disable_ipv6", "1");
  }

  void connect(const Pair& pair, const std::string& more = "") {
    make_silent("red");
    make_silent("blue");
    start_with(to_toml({.pairs = {pair}}) + more);
    sniffer_.emplace("blue", "veth1");
  }

  /// Sends all at once; returns what blue was handed when every frame has been delivered.
  const std::vector<Captured>& burst(const std::vector<Input>& frames) {
    send_at_once(frames);
    sniffer_->read();
    return sniffer_->received();
  }

  void send_at_once(const std::vector<Input>& frames) {
    const PacketSocket red("red", "veth0");
    daemon().while_stopped([&] {
      for (const Input& frame : frames) EXPECT_TRUE(red.send(frame.bytes));
    });
    const auto delivered = [&] {
      const json::object there = ledger("web", "a_to_b");
      return number(there, "tx_frames") + number(there, "merged_frames") >= frames.size() &&
             number(there, "in_flight") == 0;
    };
    EXPECT_TRUE(wait_until(delivered, kSoon, "every frame delivered"));
  }

  static std::uint64_t coalesced() { return number(ledger("web", "a_to_b"), "tx_coalesced"); }

  void TearDown() override {
    sniffer_.reset();
    System::TearDown();
  }

 private:
  std::optional<Sniffer> sniffer_;
};

/// Addresses and ports of a frame of this file: IPv4 without options or IPv6.
Frame flow_of(const Frame& frame) {
  const bool v6 = frame.at(12) == 0x86;
  const std::ptrdiff_t addresses = v6 ? 14 + 8 : 14 + 12;
  return {frame.begin() + addresses, frame.begin() + addresses + (v6 ? 2 * 16 : 2 * 4) + 4};
}

/// The frames sent that came alone, by their index. Fails unless all came, in order: alone byte for
/// byte, merged with their own payload each, in their own flow.
std::vector<std::size_t> alone_in_place(const std::vector<Input>& sent,
                                        const std::vector<Captured>& came) {
  std::vector<std::size_t> alone;
  std::size_t next = 0;
  for (const Captured& frame : came) {
    if (frame.vnet.gso_type == kGsoNone) {
      const bool same = next < sent.size() && frame.bytes == sent[next].bytes;
      EXPECT_TRUE(same) << "frame " << next << " is not what was sent";
      alone.push_back(next++);
      continue;
    }
    const Frame payload = payload_of(frame.bytes);
    for (std::size_t at = 0; at < payload.size(); at += frame.vnet.gso_size, ++next) {
      const std::size_t bytes = std::min<std::size_t>(frame.vnet.gso_size, payload.size() - at);
      const auto part = payload.begin() + static_cast<std::ptrdiff_t>(at);
      const Frame segment(part, part + static_cast<std::ptrdiff_t>(bytes));
      const bool same = next < sent.size() && segment == payload_of(sent[next].bytes) &&
                        flow_of(frame.bytes) == flow_of(sent[next].bytes);
      EXPECT_TRUE(same) << "frame " << next << " was merged as another";
    }
  }
  EXPECT_EQ(next, sent.size()) << "frames came";
  return alone;
}

class CoalesceFlow : public Coalesce, public testing::WithParamInterface<Flow> {};
INSTANTIATE_TEST_SUITE_P(Flow, CoalesceFlow, testing::ValuesIn(kFlows), flow_name);

TEST_P(CoalesceFlow, LeavesWrongChecksumsAsWrongAndWhereTheyWere) {
  connect(bare_pair());
  const std::vector<unsigned> wrong = {1, 8, 9, 17, 30};  // first, neighbours, last
  const auto is_wrong = [&](std::size_t n) { return std::ranges::count(wrong, n) > 0; };
  const auto frames = stream(GetParam(), 30, [&](Packet& packet) {
    if (is_wrong(packet.n)) packet.checksum = Checksum::wrong;
  });
  const auto alone = alone_in_place(frames, burst(frames));
  for (const unsigned n : wrong)
    EXPECT_TRUE(std::ranges::binary_search(alone, n - 1)) << "frame " << n << " was merged";
  EXPECT_GT(coalesced(), 0U) << "nothing was put to the test";
}

TEST_P(CoalesceFlow, KeepsFlowsApartThatDifferInAPortOnly) {
  connect(bare_pair());
  // Sequence numbers and ids go on across them, so that nothing else keeps them apart.
  const auto frames = stream(GetParam(), 40, [](Packet& packet) {
    packet.source_port = static_cast<std::uint16_t>(4000 + packet.n / 3 % 2);
  });
  alone_in_place(frames, burst(frames));
  EXPECT_GT(coalesced(), 0U);
}

TEST_F(Coalesce, LeavesAWrongIpv4HeaderAlone) {
  connect(bare_pair());
  const auto frames =
      stream(kUdp4, 9, [](Packet& packet) { packet.wrong_ip_checksum = packet.n == 5; });
  const auto alone = alone_in_place(frames, burst(frames));
  EXPECT_TRUE(std::ranges::binary_search(alone, 4U));
  EXPECT_GT(coalesced(), 0U);
}

TEST_F(Coalesce, LeavesDatagramsWithoutChecksumAsTheyAre) {
  connect(bare_pair());
  std::vector<Input> frames;
  for (const Flow& flow : {kUdp4, kUdp6}) {
    const auto some = stream(flow, 15, [](Packet& packet) { packet.checksum = Checksum::zero; });
    frames.insert(frames.end(), some.begin(), some.end());
  }
  EXPECT_EQ(alone_in_place(frames, burst(frames)).size(), frames.size());
  EXPECT_EQ(coalesced(), 0U);
}

TEST_F(Coalesce, EndsASuperFrameWithAShorterDatagramAndStartsAnewWithALonger) {
  connect(bare_pair());
  constexpr std::array<std::size_t, 9> kSizes = {1000, 1000, 1001, 1001, 1001, 7, 7, 900, 1000};
  const auto frames =
      stream(kUdp4, 45, [&](Packet& packet) { packet.payload = kSizes[packet.n % kSizes.size()]; });
  alone_in_place(frames, burst(frames));
  EXPECT_GT(coalesced(), 0U);
}

TEST_F(Coalesce, CountsTheFramesThatThereWere) {
  connect(bare_pair());
  const auto frames = streams();
  alone_in_place(frames, burst(frames));
  EXPECT_GT(coalesced(), 0U);
  const json::object there = ledger("web", "a_to_b");
  for (const char* way : {"rx", "tx"}) {
    EXPECT_EQ(number(there, std::string(way) + "_frames"), frames.size());
    EXPECT_EQ(number(there, std::string(way) + "_bytes"), bytes_of(frames));
  }
  const json::object answer = json::parse(run_vethctl({"-j", "show", "-s"}).out).as_object();
  const json::object pair = pair_in(answer, "web");
  for (const auto& [end, way] : {std::pair{"a", "tx"}, std::pair{"b", "rx"}}) {
    const json::object& stats = pair.at(end).at("stats").as_object();
    EXPECT_EQ(number(stats, std::string(way) + "_packets"), frames.size()) << end;
    EXPECT_EQ(number(stats, std::string(way) + "_bytes"), bytes_of(frames)) << end;
  }
}

class NotCoalesced : public Coalesce, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Key, NotCoalesced, testing::Values("", "auto", "off"),
                         [](const auto& key) {
                           return key.param.empty() ? "left_out" : key.param;
                         });

TEST_P(NotCoalesced, WritesEveryFrameOfATapAlone) {
  Pair pair = bare_pair();
  pair.coalesce = GetParam();
  connect(pair);
  const auto frames = streams();
  EXPECT_EQ(alone_in_place(frames, burst(frames)).size(), frames.size());
  EXPECT_EQ(coalesced(), 0U);
}

TEST_F(Coalesce, LeavesTheReceiversProgramEveryFrame) {
  connect(bare_pair(),
          "  [pair.b.xdp]\n  object = \"" XDP_TEST_OBJECT "\"\n  program = \"pass_all\"\n");
  const auto frames = streams();
  EXPECT_EQ(alone_in_place(frames, burst(frames)).size(), frames.size());
  EXPECT_EQ(coalesced(), 0U);
}

/// A veth's GRO sees only what a sender without TSO sends.
Pair with_gro(Pair pair) {
  pair.a.tso = false;
  pair.b.gro = true;
  return pair;
}

TEST_F(Coalesce, LeavesAggregatingToTheReceiversGro) {
  connect(with_gro(bare_pair()));
  const auto frames = stream(kTcp4, 40);
  alone_in_place(frames, burst(frames));
  EXPECT_GT(number(ledger("web", "a_to_b"), "merged_frames"), 0U) << "by the emulated GRO";
  EXPECT_EQ(coalesced(), 0U);
}

TEST_F(Coalesce, LeavesAloneWhatTheReceiversGroLeavesAlone) {
  connect(with_gro(bare_pair()));
  const auto frames = stream(kUdp4, 40);
  EXPECT_EQ(alone_in_place(frames, burst(frames)).size(), frames.size());
  EXPECT_EQ(coalesced(), 0U);
}

// red: veth0 ===== vethd ===== veth1 :blue: up0 ----- kernel veth ----- up1 :green
class CoalesceRouted : public Coalesce {
 protected:
  /// blue sends what it forwards with finished checksums and without segmentation offload, as to a
  /// wire.
  void connect_routed() {
    for (const char* name : {"red", "blue", "green"}) make_netns(name);
    for (const char* all : {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"})
      set_sysctl("blue", all, "1");
    make_kernel_veth({.pairs = {{.name = "uplink",
                                 .a = {.netns = "blue", .ifname = "up0"},
                                 .b = {.netns = "green", .ifname = "up1"}}}});
    const Finished off =
        run(words("ethtool -K up0 tx off tso off tx-udp-segmentation off"), {.netns = "blue"});
    ASSERT_EQ(off.exit_code, 0) << off.err;
    Pair pair = bare_pair();
    pair.a.mac = kMacA;
    pair.b.mac = kMacB;
    start({.pairs = {pair}});
    const std::string green_mac = link_of("green", "up1").mac;
    for (const auto& [address, bits] : {std::pair{kIpB, "/32"}, std::pair{"fd00::2", "/128"}}) {
      const std::string to = std::string(address);
      ip("-n blue route add " + to + bits + " dev up0");
      ip("-n blue neigh replace " + to + " lladdr " + green_mac + " dev up0 nud permanent");
    }
    green_.emplace("green", "up1");
  }

  /// What green was handed, as soon as it is as many; but not the short frames in which blue's
  /// stack announces itself.
  std::vector<Frame> arrived(std::size_t count) {
    std::vector<Frame> found;
    const auto all = [&] {
      green_->read();
      found.clear();
      for (const Captured& each : green_->received())
        if (each.bytes.size() > kShort) found.push_back(each.bytes);
      return found.size() >= count;
    };
    EXPECT_TRUE(wait_until(all, kSoon, "every frame to be routed on"));
    return found;
  }

  void TearDown() override {
    green_.reset();
    Coalesce::TearDown();
  }

 private:
  static constexpr std::size_t kShort = 500;

  std::optional<Sniffer> green_;
};

/// Without what a router changes: addresses of the link, hop count, IPv4 header checksum.
Frame as_routed(Frame frame, bool v6) {
  std::fill_n(frame.begin(), 12, std::uint8_t{0});
  if (v6) {
    frame.at(14 + 7) = 0;
  } else {
    for (const std::size_t at : {14U + 8U, 14U + 10U, 14U + 11U}) frame.at(at) = 0;
  }
  return frame;
}

std::uint16_t ipv4_id(const Frame& frame) {
  return static_cast<std::uint16_t>(frame.at(14 + 4) << 8 | frame.at(14 + 5));
}

Frame without_ipv4_id(Frame frame) {
  frame.at(14 + 4) = frame.at(14 + 5) = 0;
  return frame;
}

class CoalesceRoutedFlow : public CoalesceRouted, public testing::WithParamInterface<Flow> {};
INSTANTIATE_TEST_SUITE_P(Flow, CoalesceRoutedFlow, testing::ValuesIn(kFlows), flow_name);

TEST_P(CoalesceRoutedFlow, SplitsIntoTheVeryFramesThatWereSent) {
  ASSERT_NO_FATAL_FAILURE(connect_routed());
  const bool v6 = GetParam().v6;
  const auto frames = stream(GetParam(), 40, [](Packet& packet) {
    if (packet.n == 15) packet.checksum = Checksum::wrong;
    if (packet.n == 25) packet.payload = 999;
    if (packet.n > 25) packet.seq_shift = -1;
  });
  send_at_once(frames);
  EXPECT_GT(coalesced(), 0U);
  const auto came = arrived(frames.size());
  ASSERT_EQ(came.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(as_routed(came[i], v6), as_routed(frames[i].bytes, v6)) << "frame " << i + 1;
}

TEST_F(CoalesceRouted, CountsIpv4IdsUpWhereNobodyNeedsThem) {
  ASSERT_NO_FATAL_FAILURE(connect_routed());
  const auto frames = stream(kUdp4, 40, [](Packet& packet) { packet.id = 0; });
  send_at_once(frames);
  EXPECT_GT(coalesced(), 0U);
  const auto came = arrived(frames.size());
  ASSERT_EQ(came.size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(as_routed(without_ipv4_id(came[i]), false), as_routed(frames[i].bytes, false)) << i;
    // From the first one's on, which was 0, in each super-frame.
    const bool first = ipv4_id(came[i]) == 0;
    EXPECT_TRUE(first || (i > 0 && ipv4_id(came[i]) == ipv4_id(came[i - 1]) + 1)) << i;
  }
}

}  // namespace
}  // namespace vethd::system_test

// Every emulated stage broken on purpose, one at a time, in the real daemon: traffic must see it.
// What a probe looks at holds in the whole daemon, so a stage that was never on the path, or did
// nothing there, would show.
#include <algorithm>
#include <array>
#include <csignal>
#include <ostream>
#include <string>
#include <vector>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

constexpr std::uint32_t kBurst = 500;  // frames, fewer than the TAP's ring holds
constexpr int kBursts = 20;

bool ping_crosses() { return bool(pings("red", "-4 192.168.1.2")); }

bool datagrams_cross() {
  return udp_in_order({"red", "blue", "192.168.1.2"}, {.rounds = 5, .sizes = {100}}).has_value();
}

/// Numbered frames from red, as fast as they can be sent; whether blue sees them in order.
bool bursts_keep_their_order() {
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  std::uint32_t last = 0;
  for (int i = 0; i < kBursts; ++i) {
    const std::uint32_t end = last + kBurst;
    for (std::uint32_t seed = last + 1; seed <= end; ++seed)
      static_cast<void>(red.send(test_frame(100, seed)));
    for (std::uint32_t seed = last + 1; seed <= end; ++seed) {
      const auto frame = blue.receive(1s);
      if (!frame || seed_of(*frame) != seed) return false;
    }
    last = end;
  }
  return true;
}

bool frame_of_1519_bytes_is_dropped() {
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  static_cast<void>(red.send(test_frame(1519, 1)));
  static_cast<void>(red.send(test_frame(1518, 2)));
  const auto first = blue.receive(2s);
  return first && first->size() == 1518;
}

bool full_backlog_drops() {
  for (int i = 0; i < kBursts; ++i) {
    bursts_keep_their_order();
    if (number(ledger("web", "a_to_b"), "drop_cpu_backlog") > 0) return true;
  }
  return false;
}

bool one_flow_stays_on_one_cpu() {
  if (!datagrams_cross()) return false;
  const auto before = std::array{number(softnet("default", 0), "processed"),
                                 number(softnet("default", 1), "processed")};
  constexpr std::uint32_t kRounds = 200;
  if (!udp_in_order({"red", "blue", "192.168.1.2"}, {.rounds = kRounds, .sizes = {100}}))
    return false;
  const auto on_cpu = std::array{number(softnet("default", 0), "processed") - before[0],
                                 number(softnet("default", 1), "processed") - before[1]};
  // Acknowledgements come back by the other direction, which has no map and stays on CPU 0; the
  // datagrams themselves are all on one CPU: together or apart, never split among both.
  const std::uint64_t datagrams = kRounds;
  return on_cpu[1] >= datagrams || on_cpu[1] < datagrams / 10;
}

struct Case {
  const char* stage;
  bool (*holds)();
  const char* softnet = "";
  std::vector<unsigned> rps_cpus = {};
};
std::ostream& operator<<(std::ostream& out, const Case& drawn) { return out << drawn.stage; }

class BrokenStage : public System, public testing::WithParamInterface<Case> {
 protected:
  void start_breaking(const std::string& stage) {
    Pair pair = red_to_blue();
    pair.a.mtu = 9000;  // so that its stack does not refuse what the path must refuse
    pair.b.rps_cpus = GetParam().rps_cpus;
    Topology topology{.pairs = {pair}, .softnet = std::string("[softnet]\n") + GetParam().softnet};
    make_netns_for(topology);
    start_with(to_toml(topology), {"env", "VETHD_BREAK=" + stage, vethd_breakable_program()});
  }
  /// A broken daemon may well leave frames behind; it is not asked.
  void kill() {
    daemon().process().signal(SIGKILL);
    static_cast<void>(daemon().process().wait_exit(2s));
    daemon_is_gone();
  }
};

TEST_P(BrokenStage, IsSeenByTraffic) {
  start_breaking(GetParam().stage);
  EXPECT_FALSE(GetParam().holds());
  kill();
}

TEST_P(BrokenStage, UnbrokenIsNot) {
  start_breaking("none");
  EXPECT_TRUE(GetParam().holds());
}

INSTANTIATE_TEST_SUITE_P(
    Every, BrokenStage,
    testing::Values(
        Case{.stage = "forward", .holds = frame_of_1519_bytes_is_dropped},
        Case{.stage = "scrub", .holds = datagrams_cross},
        Case{.stage = "eth_type_trans", .holds = ping_crosses},
        Case{.stage = "csum", .holds = datagrams_cross},
        Case{.stage = "rps", .holds = one_flow_stays_on_one_cpu, .rps_cpus = {0, 1}},
        Case{.stage = "enqueue_to_backlog",
             .holds = full_backlog_drops,
             .softnet = "netdev_max_backlog = 0\n",
             .rps_cpus = {1}},
        Case{.stage = "handover", .holds = ping_crosses, .rps_cpus = {1}},
        Case{.stage = "net_rx_action", .holds = ping_crosses, .softnet = "dev_weight = 1\n"},
        Case{.stage = "process_backlog", .holds = bursts_keep_their_order},
        Case{.stage = "delivery", .holds = ping_crosses}),
    [](const auto& drawn) { return std::string(drawn.param.stage); });

}  // namespace
}  // namespace vethd::system_test

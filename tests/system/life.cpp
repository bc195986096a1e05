// From the command line to the last trace: start, refusal, stop, kill.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <thread>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sandbox.hpp"

namespace vethd::system_test {
namespace {

constexpr int kClean = 0;
constexpr int kCannotRun = 1;
constexpr int kBadUsage = 2;

class CommandLine : public System {};

TEST_F(CommandLine, ShowsItsVersion) {
  const Finished done = run_vethd({"--version"});
  EXPECT_EQ(done.exit_code, kClean);
  EXPECT_NE(done.out.find("vethd "), std::string::npos) << done.out;
}

TEST_F(CommandLine, ChecksAConfigurationWithoutOpeningAnything) {
  Topology topology{.pairs = {red_to_blue()}};
  topology.create_netns = true;
  const Finished done = run_vethd({"--config", write_config(to_toml(topology)), "--check"});
  EXPECT_EQ(done.exit_code, kClean) << done.err;
  EXPECT_EQ(done.err, "");
  EXPECT_FALSE(netns_exists("red"));
}

TEST_F(CommandLine, RefusesABadConfigurationWithFileLineAndColumn) {
  const std::string file =
      write_config("[daemon]\nworkers = 2\n\n[softnet]\n  netdev_max_backlgo = 10\n");
  for (const bool only_check : {true, false}) {
    std::vector<std::string> arguments = {"--config", file};
    if (only_check) arguments.emplace_back("--check");
    const Finished done = run_vethd(arguments);
    EXPECT_EQ(done.exit_code, kBadUsage);
    EXPECT_EQ(done.out, "");
    EXPECT_NE(done.err.find(file + ":5:3"), std::string::npos) << done.err;
    EXPECT_NE(done.err.find("netdev_max_backlog"), std::string::npos) << done.err;
  }
}

TEST_F(CommandLine, RefusesBadUsage) {
  using Arguments = std::vector<std::string>;
  for (const Arguments& arguments : {Arguments{}, Arguments{"--config"}, Arguments{"--frobnicate"},
                                     Arguments{"--config", "/run/no-such-file"}}) {
    const Finished done = run_vethd(arguments);
    EXPECT_EQ(done.exit_code, kBadUsage) << testing::PrintToString(arguments);
    EXPECT_NE(done.err, "") << testing::PrintToString(arguments);
  }
}

class Start : public System {
 protected:
  /// One line on stderr that names the cause, and nothing left behind: teardown looks.
  static void expect_refusal(const Finished& done, const std::vector<std::string>& says) {
    EXPECT_EQ(done.exit_code, kCannotRun);
    EXPECT_EQ(done.out.find("ready"), std::string::npos) << done.out;
    for (const std::string& text : says)
      EXPECT_NE(done.err.find(text), std::string::npos) << done.err;
  }
};

TEST_F(Start, FailsWhenANamespaceIsMissingAndMayNotBeMade) {
  make_netns("red");
  const Finished done = run_vethd({"--config", write_config(to_toml({.pairs = {red_to_blue()}}))});
  expect_refusal(done, {"blue", "create_netns"});
  EXPECT_FALSE(link_of("red", "veth0").exists);
}

TEST_F(Start, FailsWhenAnInterfaceNameIsTaken) {
  make_netns("red");
  make_netns("blue");
  ip("-n blue link add veth1 type bridge");
  const Finished done = run_vethd({"--config", write_config(to_toml({.pairs = {red_to_blue()}}))});
  expect_refusal(done, {"veth1"});
  EXPECT_EQ(link_of("blue", "veth1").kind, "bridge");
  EXPECT_FALSE(link_of("red", "veth0").exists);
}

TEST_F(Start, LeavesAWaitingTapOfTheUsersAlone) {
  make_netns("red");
  make_netns("blue");
  // Persistent, nobody attached, and made with the very flags that vethd uses.
  ip("-n blue tuntap add dev veth1 mode tap vnet_hdr");
  const Finished done = run_vethd({"--config", write_config(to_toml({.pairs = {red_to_blue()}}))});
  expect_refusal(done, {"veth1", "exists"});
  EXPECT_TRUE(link_of("blue", "veth1").exists);
}

TEST_F(Start, WithoutCapabilitiesSaysWhichOneIsMissing) {
  make_netns("red");
  make_netns("blue");
  const std::string file = write_config(to_toml({.pairs = {red_to_blue()}}));
  const Finished done = run({"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                             vethd_program(), "--config", file});
  expect_refusal(done, {"CAP_"});
}

/// A system call answers EPERM, as under the default profile of a container runtime.
void block(unsigned system_call) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

TEST_F(Start, WithIoUringBlockedSaysByWhatAndHowToAllowIt) {
  make_netns("red");
  make_netns("blue");
  const std::string config = write_config(to_toml({.pairs = {red_to_blue()}}));
  for (const unsigned call : {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
    const Finished done = run_vethd({"--config", config}, {.before_exec = [call] { block(call); }});
    expect_refusal(done, {"io_uring", "seccomp", "allow"});
  }
}

TEST_F(Start, WithTooFewDescriptorsSaysWhatToRaise) {
  make_netns("red");
  make_netns("blue");
  const std::string config = write_config(to_toml({.pairs = {red_to_blue()}}));
  for (const char* limit : {"6", "8", "10", "14", "20"}) {
    const Finished done =
        run({"prlimit", "--nofile=" + std::string(limit), vethd_program(), "--config", config});
    expect_refusal(done, {"ulimit -n"});
  }
}

class Life : public System {
 protected:
  /// Two namespaces of the daemon's own making.
  void start_with_own_netns() {
    Topology topology{.pairs = {red_to_blue()}};
    topology.create_netns = true;
    start(topology);
    ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  }
};

TEST_F(Life, MakesMissingNamespacesAndRemovesThem) {
  start_with_own_netns();
  EXPECT_TRUE(daemon().stop());
  EXPECT_EQ(daemon().unexpected_log(), "");
  daemon_is_gone();
  EXPECT_EQ(leftovers(), "");  // at once, not some time later
}

TEST_F(Life, KeepsNamespacesItDidNotMake) {
  make_netns("red");
  Topology topology{.pairs = {red_to_blue()}};
  topology.create_netns = true;
  start(topology);
  EXPECT_TRUE(daemon().stop());
  EXPECT_TRUE(netns_exists("red"));
  EXPECT_FALSE(netns_exists("blue"));
  EXPECT_FALSE(link_of("red", "veth0").exists);
  daemon_is_gone();
}

TEST_F(Life, EndsCleanlyOnSigint) {
  start_with_own_netns();
  daemon().process().signal(SIGINT);
  EXPECT_EQ(daemon().process().wait_exit(1s), kClean) << daemon().process().err();
  daemon_is_gone();
}

TEST_F(Life, CanStartAgainAfterBeingKilled) {
  for (int life = 0; life < 2; ++life) {
    start_with_own_netns();
    daemon().process().signal(SIGKILL);
    ASSERT_EQ(daemon().process().wait_exit(5s), 128 + SIGKILL);
    daemon_is_gone();
    ASSERT_TRUE(wait_until([] { return leftovers().empty(); }, 2s, "nothing left")) << leftovers();
  }
}

TEST_F(Life, GivesADeviceTheSameAddressAtEachStart) {
  const Topology topology = {.pairs = {red_to_blue()}};
  start(topology);
  const std::string a = link_of("red", "veth0").mac;
  const std::string b = link_of("blue", "veth1").mac;
  EXPECT_NE(a, b);
  ASSERT_TRUE(daemon().stop());
  start_with(to_toml(topology));
  EXPECT_EQ(link_of("red", "veth0").mac, a);
  EXPECT_EQ(link_of("blue", "veth1").mac, b);
}

/// What nobody gets, who has an open tun node, for attaching to a device of several queues: an
/// errno.
int attach_as_nobody(const std::string& netns, const char* ifname) {
  const auto attach = [ifname] {
    constexpr uid_t kNobody = 65534;
    const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    ifreq request{};
    ::strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    if (::setresuid(kNobody, kNobody, kNobody) < 0) ::_exit(kBadUsage);
    ::_exit(::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : 128 + errno);
  };
  return run({"true"}, {.netns = netns, .before_exec = attach}).exit_code - 128;
}

TEST_F(Life, GivesNobodyElseItsTapsAlsoWhenStartedAgain) {
  Pair pair = red_to_blue();
  pair.a.queues = pair.b.queues = 2;
  for (int life = 0; life < 2; ++life) {
    Topology topology{.pairs = {pair}};
    topology.create_netns = true;
    start(topology);
    EXPECT_EQ(attach_as_nobody("red", "veth0"), EPERM);
    EXPECT_EQ(attach_as_nobody("blue", "veth1"), EPERM);
    EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
    EXPECT_TRUE(daemon().stop());
    daemon_is_gone();
  }
}

class LifeOfWires : public OnWires {};
VETHD_ON_WIRES(kDaemonsWires, LifeOfWires);

TEST_P(LifeOfWires, EndsWithinASecondUnderLoad) {
  connect({.pairs = {red_to_blue()}});
  const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
  const FrameSource back("blue", "veth1", FrameSource::Pace::as_fast_as_possible);
  const PacketSocket blue("blue", "veth1");
  ASSERT_TRUE(blue.receive(5s)) << "no load";
  EXPECT_TRUE(daemon().stop(1s));
  EXPECT_EQ(daemon().unexpected_log(), "");
  daemon_is_gone();
  expect_untouched(red_to_blue());
}

TEST_P(LifeOfWires, LeavesNothingBehindWhenKilledUnderLoad) {
  Topology topology{.pairs = {red_to_blue()}};
  topology.create_netns = !on_xdp();  // their devices are there before the daemon
  connect(topology);
  {
    const FrameSource there("red", "veth0", FrameSource::Pace::as_fast_as_possible);
    const PacketSocket blue("blue", "veth1");
    ASSERT_TRUE(blue.receive(5s)) << "no load";
    daemon().process().signal(SIGKILL);
    ASSERT_EQ(daemon().process().wait_exit(5s), 128 + SIGKILL);
  }
  daemon_is_gone();
  expect_untouched(red_to_blue());  // teardown waits for the rest to follow
}

TEST_P(LifeOfWires, CostsNoCpuTimeWhileNothingIsSent) {
  Pair pair = red_to_blue();
  pair.a.addresses = pair.b.addresses = {};
  make_netns_for({.pairs = {pair}});
  // No router solicitations and no multicast reports: the links must have nothing to say.
  set_sysctl("red", "net.ipv6.conf.default.disable_ipv6", "1");
  set_sysctl("blue", "net.ipv6.conf.default.disable_ipv6", "1");
  connect({.pairs = {pair}});
  const long before = daemon().process().cpu_ticks();
  EXPECT_FALSE(daemon().process().wait_exit(1s)) << "it ended while it was watched";
  EXPECT_LE(daemon().process().cpu_ticks() - before, 1);
}

class Crowd : public System {
 protected:
  /// pair0, pair1, ...: from a0 to b0, ..., each end in the namespace that netns_of() says.
  template <class NetnsOf>
  void start_pairs(unsigned count, NetnsOf&& netns_of) {
    Topology topology;
    for (unsigned i = 0; i < count; ++i) {
      const std::string n = std::to_string(i);
      topology.pairs.push_back({.name = "pair" + n,
                                .a = {.netns = netns_of("red", n), .ifname = "a" + n},
                                .b = {.netns = netns_of("blue", n), .ifname = "b" + n}});
    }
    start(topology);
  }
  void start_between_red_and_blue(unsigned count) {
    start_pairs(count, [](const std::string& colour, const std::string&) { return colour; });
  }
};

/// That a frame from one device arrives at the other, whatever else does.
testing::AssertionResult forwards(const PacketSocket& from, const PacketSocket& to,
                                  std::uint32_t seed) {
  constexpr std::size_t kFrameBytes = 60;
  if (auto sent = from.send(test_frame(kFrameBytes, seed)); !sent)
    return testing::AssertionFailure() << sent.error().text();
  const auto received = to.receive(5s);
  if (!received) return testing::AssertionFailure() << "nothing arrived";
  if (seed_of(*received) != seed) return testing::AssertionFailure() << "another frame arrived";
  return testing::AssertionSuccess();
}

TEST_F(Crowd, OfAThousandPairsForwardsOnEachAndNowhereElse) {
  constexpr unsigned kPairs = 1000;
  constexpr unsigned kThreads = 32;  // closing a packet socket waits for RCU; threads wait together
  start_between_red_and_blue(kPairs);
  std::atomic<unsigned> next = 0;
  const auto exchange = [&] {
    for (unsigned i = next++; i < kPairs; i = next++) {
      const std::string n = std::to_string(i);
      const PacketSocket a("red", "a" + n);
      const PacketSocket b("blue", "b" + n);
      EXPECT_TRUE(forwards(a, b, 2 * i)) << "from a" << n;
      EXPECT_TRUE(forwards(b, a, 2 * i + 1)) << "from b" << n;
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(exchange);
  threads.clear();
  ASSERT_TRUE(wait_until(ledgers_at_rest, 5s, "the ledgers at rest"));
  const auto shown = show();
  const auto counted = stats();
  for (unsigned i = 0; i < kPairs; ++i) {
    const std::string name = "pair" + std::to_string(i);
    const auto pair = pair_in(shown, name);
    ASSERT_FALSE(pair.empty()) << name;
    EXPECT_TRUE(pair.at("carrier").as_bool()) << name;
    const auto ledgers = pair_in(counted, name);
    ASSERT_FALSE(ledgers.empty()) << name;
    for (const char* direction : {"a_to_b", "b_to_a"}) {
      const auto& ledger = ledgers.at(direction).as_object();
      EXPECT_GE(number(ledger, "tx_frames"), 1U) << name << ' ' << direction;
      EXPECT_EQ(drops_in(ledger), "") << name << ' ' << direction;
    }
  }
  for (const char* what : {"show", "stats"}) {  // the tables for people have room for all as well
    const Finished done = run_vethctl({what});
    EXPECT_EQ(done.exit_code, kClean) << done.err;
    EXPECT_NE(done.out.find("pair999"), std::string::npos) << what;
  }
}

TEST_F(Crowd, OfAThousandPairsEndsWithinTwoSeconds) {
  constexpr unsigned kPairs = 1000;
  start_between_red_and_blue(kPairs);
  EXPECT_TRUE(link_of("blue", "b999").carrier);
  EXPECT_TRUE(daemon().stop(2s));
  EXPECT_EQ(daemon().unexpected_log(), "");
  daemon_is_gone();
  for (const char* last : {"a0", "a999"}) EXPECT_FALSE(link_of("red", last).exists) << last;
}

TEST_F(Crowd, InManyNamespacesLeavesNoDeviceInAnyOfThem) {
  constexpr unsigned kPairs = 40;  // more namespaces than threads that clean up
  start_pairs(kPairs, [](const std::string& colour, const std::string& n) { return colour + n; });
  for (unsigned i = 0; i < kPairs; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_TRUE(link_of("red" + n, "a" + n).exists);
  }
  EXPECT_TRUE(daemon().stop(10s));
  EXPECT_EQ(daemon().unexpected_log(), "");
  daemon_is_gone();
  for (unsigned i = 0; i < kPairs; ++i) {
    const std::string n = std::to_string(i);
    EXPECT_FALSE(link_of("red" + n, "a" + n).exists) << n;
    EXPECT_FALSE(link_of("blue" + n, "b" + n).exists) << n;
  }
}

}  // namespace
}  // namespace vethd::system_test

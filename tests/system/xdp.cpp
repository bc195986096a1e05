// XDP programs on what an end receives: what becomes of frames, of the other end, of bad requests.
#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <cstdint>
#include <string>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/packet.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

constexpr milliseconds kSoon = 5s;
constexpr int kCannotRun = 1;
constexpr int kBadUsage = 2;

/// Side b runs a program of tests/platform/xdp/programs.bpf.c.
std::string with_program(const std::string& program, const Pair& pair = red_to_blue(),
                         const std::string& object = XDP_TEST_OBJECT) {
  return to_toml({.pairs = {pair}}) + "  [pair.b.xdp]\n  object = \"" + object +
         "\"\n  program = \"" + program + "\"\n";
}

class XdpProgram : public System {
 protected:
  void attach(const std::string& program) {
    make_netns("red");
    make_netns("blue");
    start_with(with_program(program));
    daemon().allow_log("single-shot");  // on Linux 6.1, where these tests run, too
  }

  static json::object end(const char* side) { return pair_in(show(), "web").at(side).as_object(); }
  /// `vethctl show -s` of an end.
  static json::object veth_view(const char* side) {
    const json::object shown = json::parse(run_vethctl({"-j", "show", "-s"}).out).as_object();
    return pair_in(shown, "web").at(side).as_object();
  }
  static json::object xdp() { return end("b").at("xdp").as_object(); }

  /// All frames towards b had this verdict. The stack sends frames of its own at any time, so both
  /// are read until they agree.
  static void expect_all(const std::string& verdict) {
    const auto agree = [&] {
      const std::uint64_t counted = number(xdp().at("verdicts").as_object(), verdict);
      return counted > 0 && counted == number(ledger("web", "a_to_b"), "tx_frames");
    };
    EXPECT_TRUE(wait_until(agree, kSoon, "every frame to have its verdict")) << xdp();
  }
};

TEST_F(XdpProgram, IsShownWithWhatItIsAndWhereItRuns) {
  attach("pass_all");
  const json::object program = xdp();
  EXPECT_EQ(program.at("object"), XDP_TEST_OBJECT);
  EXPECT_EQ(program.at("program"), "pass_all");
  EXPECT_NE(number(program, "id"), 0U);
  EXPECT_NE(ip("-n blue -d link show dev veth1").find(" name vethd_call "), std::string::npos);
  EXPECT_NE(program.at("mode_note").as_string().find("3456"), json::string::npos) << program;
  EXPECT_TRUE(end("a").at("xdp").is_null());
  const Finished text = run_vethctl({"show"});
  EXPECT_NE(text.out.find("xdp pass_all id "), std::string::npos) << text.out;
}

TEST_F(XdpProgram, TakesSegmentationFromTheOtherEndOnly) {
  attach("pass_all");
  EXPECT_EQ(end("a").at("offloads"), json::array{"csum"});
  EXPECT_EQ(end("a").at("features").at("tso"), false);
  EXPECT_EQ(end("b").at("features").at("tso"), true);
}

TEST_F(XdpProgram, LetsPassWhatItPasses) {
  attach("pass_all");
  EXPECT_TRUE(pings("red", "192.168.1.2"));
  const auto sent = tcp_both_ways({"red", "blue", "192.168.1.2"}, 4ULL << 20);
  EXPECT_TRUE(sent) << sent.error().text();
  ASSERT_TRUE(wait_until(ledgers_at_rest, kSoon, "frames in flight to arrive"));
  expect_all("pass");
}

TEST_F(XdpProgram, StopsWhatItDropsAndNothingTheOtherWay) {
  attach("drop_all");
  const PacketSocket red("red", "veth0");
  const PacketSocket blue("blue", "veth1");
  constexpr std::uint32_t kFrames = 20;
  const std::uint64_t before = number(ledger("web", "a_to_b"), "tx_frames");
  for (std::uint32_t seed = 0; seed < kFrames; ++seed) ASSERT_TRUE(red.send(test_frame(100, seed)));
  const auto written = [&] {
    return number(ledger("web", "a_to_b"), "tx_frames") >= before + kFrames && ledgers_at_rest();
  };
  ASSERT_TRUE(wait_until(written, kSoon, "the frames to be written"));
  EXPECT_FALSE(blue.receive(0ms)) << "the program let one pass";
  expect_all("drop");
  ASSERT_TRUE(blue.send(test_frame(100, kFrames)));
  const auto back = red.receive(kSoon);
  ASSERT_TRUE(back);
  EXPECT_EQ(seed_of(*back), kFrames);
}

TEST_F(XdpProgram, SendsBackWhatItTransmitsToAnEndWithAProgram) {
  make_netns("red");
  make_netns("blue");
  start_with(with_program("tx_all") + "  [pair.a.xdp]\n  object = \"" + XDP_TEST_OBJECT +
             "\"\n  program = \"pass_all\"\n");
  daemon().allow_log("single-shot");
  const PacketSocket red("red", "veth0");
  const Frame sent = test_frame(200, 7);
  ASSERT_TRUE(red.send(sent));
  const auto back = red.receive(kSoon);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, sent);
  EXPECT_EQ(number(xdp(), "tx_errors"), 0U);
}

// As on a veth, whose other end has no NAPI then: ENXIO, and xdp_tx_errors.
TEST_F(XdpProgram, LosesWhatItTransmitsToAnEndWithoutOne) {
  attach("tx_all");
  const PacketSocket red("red", "veth0");
  for (std::uint32_t seed = 0; seed < 10; ++seed) ASSERT_TRUE(red.send(test_frame(200, seed)));
  expect_all("tx");
  EXPECT_FALSE(red.receive(0ms)) << "a frame came back";
  // The stack may send frames of its own between the reading of one count and that of the other.
  const auto all_are_errors = [&] {
    const json::object now = xdp();
    return number(now, "tx_errors") == number(now.at("verdicts").as_object(), "tx");
  };
  EXPECT_TRUE(wait_until(all_are_errors, kSoon, "each frame sent back to be an error"));
  const json::object a = veth_view("a");
  const json::object b = veth_view("b");
  EXPECT_GE(number(b.at("ethtool").as_object(), "rx_queue_0_xdp_tx_errors"), 10U);
  EXPECT_EQ(number(b.at("ethtool").as_object(), "rx_queue_0_xdp_tx"), 0U);
  EXPECT_GE(number(a.at("stats").as_object(), "rx_dropped"), 10U);
  EXPECT_GE(number(b.at("stats").as_object(), "tx_dropped"), 10U);
}

// Linux 4.14: the stack runs the program, asks nothing of the other end, and sends what comes back
// as it sends any frame.
TEST_F(XdpProgram, RunsGenericallyOnAMachineWhoseVethHasNoHook) {
  make_netns("red");
  make_netns("blue");
  start_with("[softnet]\nkernel = \"4.14\"\n" + with_program("tx_all"));
  daemon().allow_log("single-shot");
  EXPECT_EQ(xdp().at("mode_note"), "generic");
  EXPECT_EQ(end("a").at("features").at("tso"), true);
  const PacketSocket red("red", "veth0");
  const Frame sent = test_frame(200, 7);
  ASSERT_TRUE(red.send(sent));
  const auto back = red.receive(kSoon);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, sent);
}

TEST_F(XdpProgram, DetachedByForceCountsNoMore) {
  attach("drop_all");
  daemon().allow_log("was detached by force");
  detach_xdp_by_force("blue", "veth1");
  const auto noticed = [] { return end("a").at("features").at("tso").as_bool(); };
  EXPECT_TRUE(wait_until(noticed, kSoon, "segmentation to be back"));
  EXPECT_EQ(xdp().at("mode_note"), "detached by somebody else");
  EXPECT_TRUE(pings("red", "192.168.1.2"));
  EXPECT_NE(daemon().process().err().find("start vethd again"), std::string::npos);
}

/// Programs that others put on the ends of a running pair, as `ip link set` does and by a link.
class XdpFromOutside : public XdpProgram {
 protected:
  void SetUp() override {
    XdpProgram::SetUp();
    if (IsSkipped()) return;
    start({.pairs = {red_to_blue()}});
    daemon().allow_log("single-shot");
  }
  static testing::AssertionResult tso_of_a_is(bool wanted) {
    return wait_until([&] { return end("a").at("features").at("tso") == wanted; }, kSoon,
                      wanted ? "segmentation at a" : "no segmentation at a");
  }
};

TEST_F(XdpFromOutside, CountAsOnAVethAndLeaveNothing) {
  EXPECT_TRUE(end("b").at("xdp").is_null());
  ip(std::string("-n blue link set veth1 xdpdrv obj ") + XDP_TEST_OBJECT + " program pass_all");
  EXPECT_TRUE(tso_of_a_is(false));
  EXPECT_EQ(json::serialize(end("a").at("offloads")), R"(["csum"])");
  EXPECT_EQ(end("b").at("features").at("tso"), true);
  EXPECT_EQ(xdp().at("program"), "pass_all");
  EXPECT_EQ(number(xdp(), "id"), link_of("blue", "veth1").xdp_id);
  EXPECT_TRUE(xdp().at("object").is_null());
  EXPECT_EQ(xdp().at("verdicts"), "unknown");
  // A veth polls with a program: its ring counts.
  const auto polled = [] {
    return number(veth_view("b").at("ethtool").as_object(), "rx_queue_0_xdp_packets");
  };
  const std::uint64_t before = polled();
  EXPECT_TRUE(pings("red", "192.168.1.2"));
  EXPECT_GT(polled(), before);
  ip("-n blue link set veth1 xdpdrv off");
  EXPECT_TRUE(tso_of_a_is(true));
  EXPECT_TRUE(end("b").at("xdp").is_null());
}

TEST_F(XdpFromOutside, TheStacksOwnHookAsksNothingOfTheOtherEnd) {
  ip(std::string("-n blue link set veth1 xdpgeneric obj ") + XDP_TEST_OBJECT + " program pass_all");
  const auto shown = [] { return !end("b").at("xdp").is_null(); };
  EXPECT_TRUE(wait_until(shown, kSoon, "the program to be shown"));
  EXPECT_EQ(xdp().at("mode_note"), "generic");
  EXPECT_EQ(end("a").at("features").at("tso"), true);
}

TEST_F(XdpFromOutside, WarnOfAnMtuForWhichAVethRefusesThem) {
  ip("-n red link set veth0 mtu 4000");
  daemon().allow_log("red/veth0 has mtu 4000: a veth takes at most 3506");
  ip(std::string("-n blue link set veth1 xdpdrv obj ") + XDP_TEST_OBJECT + " program pass_all");
  EXPECT_TRUE(tso_of_a_is(false));
  EXPECT_NE(daemon().process().err().find("3506"), std::string::npos) << daemon().process().err();
}

TEST_F(XdpProgram, WorksOnAfterItsEndHasMoved) {
  attach("drop_all");
  make_netns("green");
  ip("-n blue link set veth1 netns green");
  ip("-n green link set veth1 up");
  const auto moved = [] { return end("b").at("netns") != "blue" && end("b").at("up").as_bool(); };
  ASSERT_TRUE(wait_until(moved, kSoon, "vethd to find the end"));
  EXPECT_NE(link_of("green", "veth1").xdp_id, 0U);
  EXPECT_NE(xdp().at("mode_note").as_string().find("native"), json::string::npos);
}

TEST_F(XdpProgram, WarnsOfAnMtuThatVethWouldRefuse) {
  attach("pass_all");
  ip("-n red link set veth0 mtu 3506");
  const auto mtu_is = [](std::uint64_t mtu) {
    return wait_until([&] { return number(end("a"), "mtu") == mtu; }, kSoon, "the mtu");
  };
  ASSERT_TRUE(mtu_is(3506));
  EXPECT_EQ(daemon().process().err().find("3506"), std::string::npos) << "as much is allowed";
  ip("-n red link set veth0 mtu 3507");
  ASSERT_TRUE(mtu_is(3507));
  const std::string warning = "red/veth0 has mtu 3507: a veth takes at most 3506";
  daemon().allow_log(warning);
  EXPECT_NE(daemon().process().err().find(warning), std::string::npos) << daemon().process().err();
}

class XdpRefusal : public System {
 protected:
  static void expect(const std::string& toml, bool only_check, int exit_code,
                     const std::vector<std::string>& says) {
    std::vector<std::string> arguments = {"--config", write_config(toml)};
    if (only_check) arguments.emplace_back("--check");
    const Finished done = run_vethd(arguments);
    EXPECT_EQ(done.exit_code, exit_code) << done.err;
    for (const std::string& text : says)
      EXPECT_NE(done.err.find(text), std::string::npos) << text << " in:\n" << done.err;
    EXPECT_EQ(done.err.find("libbpf"), std::string::npos) << done.err;
  }
};

TEST_F(XdpRefusal, NamesWhatIsWrongWithTheObjectAtTheCheck) {
  expect(with_program("pas_all"), true, kBadUsage, {"pas_all", "its programs are: pass_all"});
  expect(with_program("pass_all", red_to_blue(), "/run/no-such.o"), true, kBadUsage,
         {"/run/no-such.o", "there is no such file"});
  expect(with_program("classifier"), true, kBadUsage, {"section \"tc\""});
}

TEST_F(XdpRefusal, NamesTheLargestMtuOfTheOtherEndAtTheCheck) {
  Pair pair = red_to_blue();
  pair.a.mtu = 9000;
  expect(with_program("pass_all", pair), true, kBadUsage, {"mtu = 9000", "3506"});
  expect(with_program("pass_frags", pair), true, 0, {});
}

TEST_F(XdpRefusal, TellsTheVerifiersComplaint) {
  make_netns("red");
  make_netns("blue");
  expect(with_program("reads_beyond"), false, kCannotRun,
         {"reads_beyond", "outside of the packet"});
}

}  // namespace
}  // namespace vethd::system_test

// The control socket and its client: what it shows, and whom it survives.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/json.hpp>
#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/transfer.hpp"

namespace vethd::system_test {
namespace {

namespace json = boost::json;

class Control : public System {};

TEST_F(Control, ShowsThePairsAsTheyAre) {
  Pair pair = red_to_blue();
  pair.a.mac = "02:00:00:00:00:01";
  pair.b.mtu = 9000;
  pair.b.queues = 2;
  start({.pairs = {pair}});
  const json::object answer = show();
  const json::object web = pair_in(answer, "web");
  EXPECT_EQ(web.at("machine"), "default");
  EXPECT_TRUE(web.at("carrier").as_bool());
  EXPECT_EQ(web.at("a").at("netns"), "red");
  EXPECT_EQ(web.at("a").at("ifname"), "veth0");
  EXPECT_EQ(web.at("a").at("mac"), "02:00:00:00:00:01");
  EXPECT_EQ(web.at("a").at("driver"), "tap");
  EXPECT_TRUE(web.at("a").at("up").as_bool());
  EXPECT_EQ(web.at("b").at("mtu").to_number<unsigned>(), 9000U);
  EXPECT_EQ(web.at("b").at("queues").to_number<unsigned>(), 2U);
  const Link b = link_of("blue", "veth1");
  EXPECT_EQ(web.at("b").at("ifindex").to_number<unsigned>(), b.ifindex);
  EXPECT_EQ(web.at("b").at("mac"), json::string(b.mac));
  EXPECT_EQ(answer.at("daemon").at("pid").to_number<pid_t>(), daemon().process().pid());
}

class Counts : public OnWires {};
VETHD_ON_WIRES(kDaemonsWires, Counts);

TEST_P(Counts, TheFramesThatPassed) {
  connect({.pairs = {red_to_blue()}});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  const auto before = number(ledger("web", "a_to_b"), "tx_frames");
  constexpr std::uint32_t kDatagrams = 100;
  const auto sent =
      udp_in_order({"red", "blue", "192.168.1.2"}, {.rounds = kDatagrams, .sizes = {100}});
  ASSERT_TRUE(sent) << sent.error().text();
  ASSERT_TRUE(wait_until(ledgers_at_rest, 2s, "the ledger at rest"));
  const json::object after = ledger("web", "a_to_b");
  EXPECT_GE(number(after, "tx_frames"), before + kDatagrams);
  EXPECT_EQ(number(after, "rx_frames"), number(after, "tx_frames"));
  EXPECT_EQ(number(after, "rx_bytes"), number(after, "tx_bytes"));
  // Every frame went through one backlog, and the device counted what the daemon wrote.
  EXPECT_GE(number(softnet("default", 0), "processed") + number(softnet("default", 1), "processed"),
            number(after, "tx_frames"));
}

/// A counter of the workers, all of them together.
std::uint64_t of_workers(const std::string& name) {
  std::uint64_t sum = 0;
  const auto answer = stats();
  for (const json::value& worker : answer.at("workers").as_array())
    sum += number(worker.as_object(), name);
  return sum;
}

TEST_F(Control, CountsHowOftenWorkersLookedOnBeforeTheySlept) {
  start({.pairs = {red_to_blue()}, .busy_poll_usecs = 1000});
  // Answers come at once, so sleeps are short and looking on pays, unless others want the CPU.
  const auto pays = [] {
    return pings("red", "-4 -f -c 200 192.168.1.2") && of_workers("busy_poll_hits") > 0;
  };
  EXPECT_TRUE(wait_until(pays, 20s, "a look that found something"));
  EXPECT_GE(of_workers("busy_polls"), of_workers("busy_poll_hits"));
  // Idle costs nothing: soon nobody looks any more, though each question wakes the workers.
  std::uint64_t looks = of_workers("busy_polls");
  const auto left_off = [&] {
    const std::uint64_t now = of_workers("busy_polls");
    return std::exchange(looks, now) == now;
  };
  EXPECT_TRUE(wait_until(left_off, 5s, "the workers to sleep at once again"));
}

TEST_F(Control, WorkersSleepAtOnceByDefault) {
  start({.pairs = {red_to_blue()}});
  ASSERT_TRUE(pings("red", "-4 -f -c 200 192.168.1.2"));
  EXPECT_EQ(of_workers("busy_polls"), 0U);
  EXPECT_GT(of_workers("sleeps"), 0U);
}

TEST_F(Control, PrintsTablesForPeople) {
  start({.pairs = {red_to_blue()}});
  for (const char* what : {"show", "stats"}) {
    const Finished done = run_vethctl({what});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_NE(done.out.find("web"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("veth0"), std::string::npos) << done.out;
  }
}

constexpr const char* kFourMachines =
    "[softnet.old]\nkernel = \"4.14\"\n[softnet.older]\nkernel = \"5.4\"\n"
    "[softnet.six]\nkernel = \"6.1\"\nhz = 1000\n";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Columns of a row of 8 lower-case hex digits each, one blank between; 0: no such row.
std::size_t hex_columns(const std::string& row) {
  static const std::regex kRow("[0-9a-f]{8}( [0-9a-f]{8})*");
  return std::regex_match(row, kRow) ? (row.size() + 1) / 9 : 0;
}

TEST_F(Control, PrintsSoftnetStatAsTheMachinesKernel) {
  start({.pairs = {red_to_blue()}, .softnet = kFourMachines});
  ASSERT_TRUE(pings("red", "-4 192.168.1.2"));
  const std::pair<const char*, std::size_t> kMachines[] = {
      {"default", 15}, {"old", 11}, {"older", 11}, {"six", 13}};
  std::vector<std::string> together;
  for (const auto& [machine, columns] : kMachines) {
    const Finished done = run_vethctl({"softnet", "-m", machine});
    const std::vector<std::string> rows = lines_of(done.out);
    ASSERT_EQ(rows.size(), 2U) << done.out << done.err;  // a row for each emulated CPU
    for (const std::string& row : rows) EXPECT_EQ(hex_columns(row), columns) << row;
    together.push_back(std::string(machine) + ":");
    together.insert(together.end(), rows.begin(), rows.end());
  }
  const std::vector<std::string> all = lines_of(run_vethctl({"softnet"}).out);
  ASSERT_EQ(all.size(), together.size());
  for (const std::size_t name : {0U, 3U, 6U, 9U}) EXPECT_EQ(all[name], together[name]);

  const std::vector<std::string> rows = lines_of(run_vethctl({"softnet", "-m", "default"}).out);
  EXPECT_NE(rows.at(0).substr(0, 8), "00000000") << "the ping was processed";
  EXPECT_EQ(rows.at(1).substr(12 * 9, 8), "00000001") << "its CPU";
  std::ifstream file("/proc/net/softnet_stat");
  std::string real;
  std::getline(file, real);
  constexpr std::size_t kColumnsOf618 = 15;
  if (hex_columns(real) == kColumnsOf618) {
    EXPECT_EQ(rows.at(0).size(), real.size()) << real;
  }
}

TEST_F(Control, NamesTheColumnsOfSoftnetStat) {
  start({.pairs = {red_to_blue()}, .softnet = kFourMachines});
  const auto columns = [](const std::string& machine) {
    const Finished done = run_vethctl({"-j", "softnet", "-m", machine});
    const json::value answer = json::parse(done.out);
    const json::value& only = answer.at("machines").at(0);
    EXPECT_EQ(only.at("machine"), json::string(machine));
    return only.at("cpus").at(1).as_object();
  };
  EXPECT_EQ(number(columns("default"), "cpu"), 1U);
  EXPECT_TRUE(columns("default").contains("input_qlen"));
  EXPECT_TRUE(columns("old").contains("flow_limit_count"));
  EXPECT_FALSE(columns("old").contains("cpu"));
}

TEST_F(Control, ReadsAndSetsSysctlsLikeSysctl) {
  start({.pairs = {red_to_blue()}, .softnet = kFourMachines});
  const std::string fresh =
      "net.core.dev_weight = 64\nnet.core.dev_weight_rx_bias = 1\n"
      "net.core.flow_limit_cpu_bitmap = 0\nnet.core.flow_limit_table_len = 4096\n"
      "net.core.netdev_budget = 300\nnet.core.netdev_budget_usecs = 8000\n"
      "net.core.netdev_max_backlog = 1000\nnet.core.rps_sock_flow_entries = 0\n";
  EXPECT_EQ(run_vethctl({"sysctl"}).out, fresh);
  EXPECT_EQ(run_vethctl({"sysctl", "-a"}).out, fresh);

  const Finished set = run_vethctl(
      {"sysctl", "-w", "net.core.flow_limit_cpu_bitmap=2", "net.core.rps_sock_flow_entries=1000"});
  EXPECT_EQ(set.exit_code, 0) << set.err;
  const std::string now =
      "net.core.flow_limit_cpu_bitmap = 2\nnet.core.rps_sock_flow_entries = 1024\n";
  EXPECT_EQ(set.out, now);
  EXPECT_EQ(
      run_vethctl({"sysctl", "net.core.flow_limit_cpu_bitmap", "net.core.rps_sock_flow_entries"})
          .out,
      now);
  EXPECT_EQ(run_vethctl({"sysctl", "-m", "six", "net.core.flow_limit_cpu_bitmap",
                         "net.core.netdev_budget_usecs"})
                .out,
            "net.core.flow_limit_cpu_bitmap = 0\nnet.core.netdev_budget_usecs = 2000\n")
      << "machines are isolated from each other";
  EXPECT_EQ(run_vethctl({"sysctl", "-m", "old", "-w", "net.core.dev_weight=0"}).exit_code, 0)
      << "4.14 checks nothing";
}

TEST_F(Control, RefusesSysctlsAsTheKernelDoes) {
  start({.pairs = {red_to_blue()}});
  const struct {
    std::string word, error;
  } kCases[] = {
      {"net.core.flow_limit_table_len=1000",
       "setting key \"net.core.flow_limit_table_len\": Invalid argument (a power of two)"},
      {"net.core.netdev_budget_usecs=7999", "Invalid argument (an integer of 32 bits, at least 8"},
      {"net.core.dev_weight=0", "setting key \"net.core.dev_weight\": Invalid argument"},
      {"net.core.netdev_max_backlog=x", "Invalid argument (an integer of 32 bits)"},
      {"net.core.flow_limit_cpu_bitmap=4", "Value too large for defined data type"},
      {"net.core.netdev_bugdet=1",
       "cannot stat /proc/sys/net/core/netdev_bugdet: No such file or directory (did you mean "
       "'netdev_budget'?)"},
  };
  for (const auto& [word, error] : kCases) {
    const Finished done = run_vethctl({"sysctl", "-w", word, "net.core.netdev_budget=299"});
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_NE(done.err.find(error), std::string::npos) << done.err;
    EXPECT_EQ(done.out, "net.core.netdev_budget = 299\n") << "the others are set";
  }
  EXPECT_EQ(run_vethctl({"sysctl", "-w", "net.core.netdev_budget"}).exit_code, 2);
  const Finished nowhere = run_vethctl({"sysctl", "-m", "small"});
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_NE(nowhere.err.find("there is no machine 'small'"), std::string::npos) << nowhere.err;
}

TEST_F(Control, RefusesToSetWhatAnEndDoesNotHave) {
  start({.pairs = {red_to_blue()}});
  const std::pair<std::vector<std::string>, std::string> kCases[] = {
      {{"set", "web", "a", "rps_cpus=2"}, "Invalid argument (CPUs from 0 to 1, as in 0,1)"},
      {{"set", "web", "a", "rps_flow_cnt=-1"}, "setting rps_flow_cnt of web a: Invalid argument"},
      {{"set", "web", "a", "rps_cpu=1"}, "there is no key 'rps_cpu'; did you mean 'rps_cpus'?"},
      {{"set", "web", "c", "rps_cpus=1"}, "there is no end 'c'; known: a, b"},
      {{"set", "wob", "a", "rps_cpus=1"}, "there is no pair 'wob'; did you mean 'web'?"},
  };
  for (const auto& [arguments, error] : kCases) {
    const Finished done = run_vethctl(arguments);
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_NE(done.err.find(error), std::string::npos) << done.err;
  }
  EXPECT_EQ(run_vethctl({"set", "web", "a", "rps_flow_cnt=1000"}).out, "rps_flow_cnt = 1024\n");
}

TEST_F(Control, StatsSayWhereEachKernelLosesMetadata) {
  make_netns("red");
  make_netns("blue");
  const auto pair = [](const std::string& kernel, const std::string& net) {
    const std::string metadata = "metadata = { mark = 7, priority = 3, classid = 0x100001 }\n";
    return "[[pair]]\nname = \"k" + kernel + "\"\nkernel = \"" + kernel + "\"\n" +
           "[pair.a]\nnetns = \"red\"\nifname = \"a" + kernel + "\"\naddresses = [\"" + net +
           ".1/24\"]\n" + metadata + "[pair.b]\nnetns = \"blue\"\nifname = \"b" + kernel +
           "\"\naddresses = [\"" + net + ".2/24\"]\n";
  };
  start_with("[daemon]\nworkers = 1\n" + pair("4.14", "10.4.0") + pair("6.18", "10.6.0"));
  for (const auto& [kernel, net] : {std::pair{"4.14", "10.4.0"}, {"6.18", "10.6.0"}}) {
    ASSERT_TRUE(pings("red", std::string(net) + ".2"));
    const std::string name = std::string("k") + kernel;
    const json::object there = ledger(name, "a_to_b");
    const std::uint64_t frames = number(there, "rx_frames");
    EXPECT_GT(frames, 0U);
    EXPECT_EQ(number(there, "mark_cleared"), frames) << kernel;
    EXPECT_EQ(number(there, "priority_cleared"), frames) << kernel;
    EXPECT_EQ(number(there, "classid_cleared"), name == "k4.14" ? frames : 0) << kernel;
    const json::object back = ledger(name, "b_to_a");
    EXPECT_EQ(number(back, "mark_cleared") + number(back, "priority_cleared"), 0U) << kernel;
  }
}

TEST_F(Control, ClientRefusesBadUsage) {
  EXPECT_EQ(run_vethctl({}).exit_code, 2);
  EXPECT_EQ(run_vethctl({"frobnicate"}).exit_code, 2);
  EXPECT_EQ(run_vethctl({"show", "--frobnicate"}).exit_code, 2);
}

TEST_F(Control, ClientSaysWhenNobodyAnswers) {
  const Finished done = run_vethctl({"show"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(done.out, "");
  EXPECT_NE(done.err.find(kControlSocket), std::string::npos) << done.err;
}

TEST_F(Control, SocketIsForItsOwnerOnly) {
  start({.pairs = {red_to_blue()}});
  struct stat status{};
  ASSERT_EQ(::stat(kControlSocket, &status), 0);
  EXPECT_EQ(status.st_mode & S_IRWXO, 0U);
}

TEST_F(Control, ASecondDaemonDoesNotTakeTheSocketOfTheFirst) {
  start({.pairs = {red_to_blue()}});
  Pair other = red_to_blue();
  other.a.ifname = "other0";
  other.b.ifname = "other1";
  const Finished second = run_vethd({"--config", write_config(to_toml({.pairs = {other}}))});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.err.find(kControlSocket), std::string::npos) << second.err;
  EXPECT_FALSE(pair_in(show(), "web").empty());
}

Fd connect_to_daemon() {
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_un where{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(where.sun_path, kControlSocket, sizeof where.sun_path - 1);
  EXPECT_TRUE(socket.is_open());
  // EAGAIN: the daemon's backlog of connections is full, which it may be.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
    EXPECT_EQ(errno, EAGAIN);
  }
  return socket;
}

void send_and_ignore_refusal(const Fd& socket, const std::string& text) {
  (void)::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

/// Guests of the control socket that behave badly while pairs forward.
class HostileGuests : public System {
 protected:
  void SetUp() override {
    System::SetUp();
    if (IsSkipped()) return;
    start({.pairs = {red_to_blue()}});
  }

  void expect_service_as_usual() {
    const auto sent =
        udp_in_order({"red", "blue", "192.168.1.2"}, {.rounds = 100, .sizes = {100, 1400}});
    EXPECT_TRUE(sent) << sent.error().text();
    const auto answers = [] { return run_vethctl({"-j", "stats"}).exit_code == 0; };
    EXPECT_TRUE(wait_until(answers, 5s, "vethctl to be answered"));
    EXPECT_EQ(drops_in(ledger("web", "a_to_b")), "");
    EXPECT_FALSE(daemon().process().wait_exit(0ms)) << daemon().process().err();
  }
};

TEST_F(HostileGuests, MaySendGarbage) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes += static_cast<char>(i * 37 >> 2);
  const std::vector<std::string> garbage = {
      bytes,    "\n\n\n\n",           std::string(100, '\0'), "{",
      "[[[[[[", "{\"command\": 7}\n", "stats\0stats\n",       "\xff\xfe\n"};
  for (const std::string& text : garbage) {
    const Fd guest = connect_to_daemon();
    send_and_ignore_refusal(guest, text);
    ::shutdown(guest.get(), SHUT_WR);
  }
  expect_service_as_usual();
}

TEST_F(HostileGuests, MaySendALineWithoutEnd) {
  const Fd guest = connect_to_daemon();
  const std::string chunk(1 << 16, 'x');
  for (int i = 0; i < 64; ++i) send_and_ignore_refusal(guest, chunk);  // 4 MiB, were it let
  expect_service_as_usual();
}

TEST_F(HostileGuests, MayNestJsonDeeply) {
  const Fd guest = connect_to_daemon();
  send_and_ignore_refusal(guest, std::string(100000, '[') + "\n");
  expect_service_as_usual();
}

TEST_F(HostileGuests, MayAskAndNotListen) {
  std::vector<Fd> guests;
  for (int i = 0; i < 32; ++i) {
    guests.push_back(connect_to_daemon());
    send_and_ignore_refusal(guests.back(), "stats\n{\"command\":\"stats\"}\n");
    ::shutdown(guests.back().get(), i % 2 == 0 ? SHUT_RD : SHUT_WR);
  }
  guests.clear();  // with answers unread: resets
  expect_service_as_usual();
}

TEST_F(HostileGuests, MayComeInLargeNumbersAndLeave) {
  std::vector<Fd> guests;
  for (int i = 0; i < 500; ++i) guests.push_back(connect_to_daemon());
  // While all are connected and silent, frames pass.
  const auto sent = udp_in_order({"red", "blue", "192.168.1.2"}, {.rounds = 100, .sizes = {100}});
  EXPECT_TRUE(sent) << sent.error().text();
  guests.clear();
  expect_service_as_usual();
}

}  // namespace
}  // namespace vethd::system_test

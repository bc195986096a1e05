// The control socket and its client: what it shows, and whom it survives.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/json.hpp>
#include <cstring>
#include <string>
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

TEST_F(Control, CountsTheFramesThatPassed) {
  start({.pairs = {red_to_blue()}});
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

TEST_F(Control, PrintsTablesForPeople) {
  start({.pairs = {red_to_blue()}});
  for (const char* what : {"show", "stats"}) {
    const Finished done = run_vethctl({what});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_NE(done.out.find("web"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("veth0"), std::string::npos) << done.out;
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

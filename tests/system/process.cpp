// The daemon as a process: its signals, its descriptors, its log and its janitor.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/core/fd.hpp"
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sandbox.hpp"

namespace vethd::system_test {
namespace {

constexpr milliseconds kSoon = 5s;
constexpr int kClean = 0;

Topology with_own_netns() {
  Topology topology{.pairs = {red_to_blue()}};
  topology.create_netns = true;
  return topology;
}

/// The only child of a process; 0: none.
pid_t child_of(pid_t pid) {
  const std::string id = std::to_string(pid);
  std::ifstream children("/proc/" + id + "/task/" + id + "/children");
  pid_t child = 0;
  children >> child;
  return child;
}

class Signals : public System {};

TEST_F(Signals, OfNoUseAreIgnoredByTheDaemonAndItsJanitor) {
  start(with_own_netns());
  const pid_t janitor = child_of(daemon().process().pid());
  ASSERT_GT(janitor, 0);
  for (const int signal : {SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGSTKFLT, SIGIO,
                           SIGPWR, SIGPIPE, SIGRTMIN, SIGRTMAX}) {
    daemon().process().signal(signal);
    ASSERT_EQ(::kill(janitor, signal), 0);
  }
  // The last one logged: those before it have been taken.
  const auto logged = [&] {
    const std::string log = daemon().process().err();
    return log.find("SIGHUP: ignored; the configuration") != log.npos &&
           log.find("SIGUSR1: ignored") != log.npos && log.find("SIGPWR: ignored") != log.npos &&
           log.find("SIGRTMIN+0: ignored") != log.npos;
  };
  EXPECT_TRUE(wait_until(logged, kSoon, "each of them in the log")) << daemon().process().err();
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  EXPECT_EQ(child_of(daemon().process().pid()), janitor);
  EXPECT_TRUE(daemon().stop());
  daemon_is_gone();
  EXPECT_EQ(leftovers(), "");
}

TEST_F(Signals, ThatStopItDoSoWhereTheParentHadThemBlocked) {
  const auto block_all = [] {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
  };
  Process vethd({vethd_program(), "--config", write_config(to_toml(with_own_netns()))},
                {.before_exec = block_all});
  ASSERT_TRUE(wait_until([&] { return vethd.out().starts_with("ready"); }, kSoon, "ready"));
  vethd.signal(SIGTERM);
  EXPECT_EQ(vethd.wait_exit(kSoon), kClean);
}

class Descriptors : public System {};

TEST_F(Descriptors, StandardOnesThatAreClosedAreOpenedBeforeAnyOther) {
  const std::string config = write_config(to_toml(with_own_netns()));
  Process vethd(
      {"sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", vethd_program(), "--config", config});
  const auto answers = [] { return run_vethctl({"show"}).exit_code == kClean; };
  ASSERT_TRUE(wait_until(answers, kSoon, "vethctl to answer"));
  const std::string open = "/proc/" + std::to_string(vethd.pid()) + "/fd/";
  for (const char* number : {"0", "1", "2"})
    EXPECT_EQ(std::filesystem::read_symlink(open + number), "/dev/null") << number;
  // vethctl's own would be the control socket.
  const Finished deaf = run({"sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", vethctl_program(), "-s",
                             kControlSocket, "show"});
  EXPECT_EQ(deaf.exit_code, kClean);
  EXPECT_TRUE(answers());
  vethd.signal(SIGTERM);
  EXPECT_EQ(vethd.wait_exit(kSoon), kClean);
  EXPECT_EQ(leftovers(), "");
}

TEST_F(Descriptors, ThatAreTooFewToFollowADeviceAreNamedAndThenItIsFollowed) {
  start({.pairs = {red_to_blue()}});
  make_netns("t1");
  daemon().allow_log("cannot follow");
  const std::string pid = std::to_string(daemon().process().pid());
  const auto limit = [&](const std::string& files) {
    const Finished done = run({"prlimit", "--pid", pid, "--nofile=" + files + ":"});  // soft
    EXPECT_EQ(done.exit_code, 0) << done.err;
  };
  const auto open_now = std::distance(std::filesystem::directory_iterator("/proc/" + pid + "/fd"),
                                      std::filesystem::directory_iterator());
  limit(std::to_string(open_now));
  ip("-n blue link set veth1 netns t1");
  const auto said = [this] {
    const std::string log = daemon().process().err();
    return log.find("cannot follow") != log.npos && log.find("ulimit -n") != log.npos;
  };
  EXPECT_TRUE(wait_until(said, kSoon, "the log to name the limit"));
  limit("1024");
  const auto followed = [] { return pair_in(show(), "web").at("b").at("netns") == "t1"; };
  EXPECT_TRUE(wait_until(followed, kSoon, "vethctl to show the new namespace"));
}

/// A FIFO as stderr, with room for one page and full, whose reader reads only when it is told to.
class DeafLog : public System {
 protected:
  void SetUp() override {
    System::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(::mkfifo(kPath, 0600), 0);
    fifo_.reset(::open(kPath, O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ASSERT_GT(::fcntl(fifo_.get(), F_SETPIPE_SZ, 4096), 0);
    const std::string page(4096, '.');
    ASSERT_EQ(::write(fifo_.get(), page.data(), page.size()), static_cast<ssize_t>(page.size()));
  }
  void TearDown() override {
    System::TearDown();
    ::unlink(kPath);
  }

  void start_on_fifo(const Topology& topology) {
    make_netns_for(topology);
    start_with(to_toml(topology), {"sh", "-c", "exec \"$0\" \"$@\" 2> /run/log", vethd_program()});
  }

  /// What waits there.
  std::string read_log() {
    std::string text(1 << 16, '\0');
    const ssize_t got = ::read(fifo_.get(), text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  void close_log() { fifo_.reset(); }

 private:
  static constexpr const char* kPath = "/run/log";
  Fd fifo_;
};

TEST_F(DeafLog, DoesNotStopControl) {
  start_on_fifo({.pairs = {red_to_blue()}});
  ip("-n red link set veth0 name renamed");
  const auto followed = [] { return pair_in(show(), "web").at("a").at("ifname") == "renamed"; };
  EXPECT_TRUE(wait_until(followed, kSoon, "vethctl to show the new name"));
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  read_log();  // and so there is room for what is said at the end
  EXPECT_TRUE(daemon().stop());
  daemon_is_gone();
  const std::string end = read_log();
  EXPECT_NE(end.find("SIGTERM: stopping"), end.npos) << end;
  EXPECT_NE(end.find("lines were left out"), end.npos) << end;
}

TEST_F(DeafLog, WhoseReaderHasGoneDoesNotEndTheDaemon) {
  start_on_fifo({.pairs = {red_to_blue()}});
  close_log();
  ip("-n red link set veth0 name renamed");
  const auto followed = [] { return pair_in(show(), "web").at("a").at("ifname") == "renamed"; };
  EXPECT_TRUE(wait_until(followed, kSoon, "vethctl to show the new name"));
  EXPECT_TRUE(daemon().stop());
  daemon_is_gone();
}

class Log : public System {};

TEST_F(Log, AndTheClientShowANameThatIsNoTextByItsBytes) {
  start({.pairs = {red_to_blue()}});
  const std::string name = "\x1b[7m\xff";
  ip("-n red link set veth0 name " + name);
  const auto followed = [] { return pair_in(show(), "web").at("a").at("ifname") != "veth0"; };
  ASSERT_TRUE(wait_until(followed, kSoon, "vethctl to show the new name"));
  EXPECT_EQ(pair_in(show(), "web").at("a").at("ifname"), "\\x1b[7m\\xff");
  const Finished shown = run_vethctl({"show"});
  EXPECT_EQ(shown.exit_code, kClean) << shown.err;
  EXPECT_EQ(shown.out.find('\x1b'), shown.out.npos);
  const std::string log = daemon().process().err();
  EXPECT_NE(log.find("renamed to \\x1b[7m\\xff"), log.npos) << log;
  EXPECT_EQ(log.find('\x1b'), log.npos);
}

class TheJanitor : public System {};

TEST_F(TheJanitor, IsReplacedWhenItDiesAndTheNextOneCleansUp) {
  start(with_own_netns());
  const pid_t vethd = daemon().process().pid();
  const pid_t first = child_of(vethd);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  const auto replaced = [&] {
    const pid_t now = child_of(vethd);
    return now != 0 && now != first;
  };
  ASSERT_TRUE(wait_until(replaced, kSoon, "another janitor"));
  EXPECT_NE(daemon().process().err().find("the janitor process"), std::string::npos);
  EXPECT_TRUE(pings("red", "-4 192.168.1.2"));
  daemon().process().signal(SIGKILL);
  ASSERT_EQ(daemon().process().wait_exit(kSoon), 128 + SIGKILL);
  daemon_is_gone();
  EXPECT_TRUE(wait_until([] { return leftovers().empty(); }, 2s, "nothing left")) << leftovers();
}

TEST_F(TheJanitor, ThatIsStoppedDoesNotKeepTheDaemonFromEnding) {
  start(with_own_netns());
  ASSERT_EQ(::kill(child_of(daemon().process().pid()), SIGSTOP), 0);
  EXPECT_TRUE(daemon().stop(10s));
  EXPECT_NE(daemon().process().err().find("cleans up itself"), std::string::npos);
  daemon_is_gone();
  EXPECT_EQ(leftovers(), "");
}

}  // namespace
}  // namespace vethd::system_test

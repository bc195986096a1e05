#include "daemon/netns/janitor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include "daemon/netns/links.hpp"
#include "daemon/netns/named.hpp"
#include "daemon/netns/nic.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

/// Gives each test a directory and a namespace name, and removes what a failed test left of them.
class JanitorTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    std::string pattern = "/tmp/vethd-janitor-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    name_ = "vethd-" + std::to_string(::getpid()) + "-janitor";
    // Janitors of killed children become ours, so that a test can wait for their end.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  }

  void TearDown() override {
    if (directory_.empty()) return;
    ::unlink(socket_path().c_str());
    ::rmdir(directory_path().c_str());
    EXPECT_EQ(::rmdir(directory_.c_str()), 0);
  }

  [[nodiscard]] std::string directory_path() const { return directory_ + "/run"; }
  [[nodiscard]] std::string socket_path() const { return directory_ + "/socket"; }

  std::string directory_;
  std::string name_;
};

Fd bind_socket(const std::string& path) {
  Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    throw std::runtime_error("bind " + path);
  }
  return socket;
}

Netns create_registered(Janitor& janitor, const std::string& name) {
  return must(create_named(name, [&](const NamedNetns& named) -> Result<void> {
    must(janitor.will_create_netns(named));
    return {};
  }));
}

constexpr int kTestPatienceMs = 5000;

/// The janitor of a process: its only child.
pid_t janitor_of(pid_t pid) {
  const std::string id = std::to_string(pid);
  std::ifstream children{"/proc/" + id + "/task/" + id + "/children"};
  pid_t child = 0;
  children >> child;
  return child;
}

TEST_F(JanitorTest, RemovesEverythingAfterTheDaemonIsKilled) {
  Child daemon{[&] {
    static Janitor janitor = must(Janitor::start());
    must(janitor.will_create_directory(directory_path()));
    if (::mkdir(directory_path().c_str(), 0755) < 0) throw std::runtime_error("mkdir");
    const Janitor::Registration registration = must(janitor.will_create_socket(socket_path()));
    static Fd socket = bind_socket(socket_path());
    must(janitor.created(registration, file_id(socket_path()).value()));
    static Netns ns = create_registered(janitor, name_);
  }};
  ASSERT_TRUE(file_id(directory_path()));
  ASSERT_TRUE(file_id(socket_path()));
  ASSERT_TRUE(file_id(netns_path(name_)));
  const pid_t janitor = janitor_of(daemon.pid());
  ASSERT_GT(janitor, 0);
  daemon.kill();
  EXPECT_EQ(wait_for_exit(janitor), 0);
  EXPECT_FALSE(file_id(directory_path()));
  EXPECT_FALSE(file_id(socket_path()));
  EXPECT_FALSE(file_id(netns_path(name_)));
}

TEST_F(JanitorTest, RemovesWhatWasOnlyAnnouncedWhenTheDaemonWasKilled) {
  Child daemon{[&] {
    static Janitor janitor = must(Janitor::start());
    must(janitor.will_create_socket(socket_path()));
    static Fd socket = bind_socket(socket_path());  // killed before created()
  }};
  ASSERT_TRUE(file_id(socket_path()));
  const pid_t janitor = janitor_of(daemon.pid());
  ASSERT_GT(janitor, 0);
  daemon.kill();
  EXPECT_EQ(wait_for_exit(janitor), 0);
  EXPECT_FALSE(file_id(socket_path()));
}

TEST_F(JanitorTest, FinishRemovesNewestFirstAndEndsTheProcess) {
  Janitor janitor = must(Janitor::start());
  const pid_t pid = janitor.pid();
  must(janitor.will_create_directory(directory_path()));
  ASSERT_EQ(::mkdir(directory_path().c_str(), 0755), 0);
  // In the directory, which can only go after it.
  const std::string inside = directory_path() + "/socket";
  must(janitor.will_create_socket(inside));
  const Fd socket = bind_socket(inside);
  const Netns ns = create_registered(janitor, name_);
  must(janitor.finish());
  EXPECT_FALSE(file_id(directory_path()));
  EXPECT_FALSE(file_id(netns_path(name_)));
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  must(janitor.finish());  // a second time is nothing
}

TEST_F(JanitorTest, LeavesANamespaceThatSomebodyElseMadeUnderTheName) {
  Janitor janitor = must(Janitor::start());
  NamedNetns ours;
  const Netns first = must(create_named(name_, [&](const NamedNetns& named) -> Result<void> {
    ours = named;
    must(janitor.will_create_netns(named));
    return {};
  }));
  must(remove_named(ours));
  NamedNetns theirs;
  const Netns second = must(create_named(name_, [&](const NamedNetns& named) -> Result<void> {
    theirs = named;
    return {};
  }));
  EXPECT_TRUE(janitor.finish());
  EXPECT_EQ(file_id(netns_path(name_)), second.id());
  must(remove_named(theirs));
}

TEST_F(JanitorTest, LeavesASocketThatSomebodyElseBoundAtThePath) {
  Janitor janitor = must(Janitor::start());
  const Janitor::Registration registration = must(janitor.will_create_socket(socket_path()));
  const Fd ours = bind_socket(socket_path());
  const std::optional<FileId> id = file_id(socket_path());
  ASSERT_TRUE(id.has_value());
  must(janitor.created(registration, *id));
  ASSERT_EQ(::unlink(socket_path().c_str()), 0);
  const Fd theirs = bind_socket(socket_path());
  must(janitor.finish());
  EXPECT_TRUE(file_id(socket_path()));
}

TEST_F(JanitorTest, LeavesADirectoryThatIsNotEmpty) {
  Janitor janitor = must(Janitor::start());
  must(janitor.will_create_directory(directory_path()));
  const std::string guest = directory_path() + "/guest";
  ASSERT_EQ(::mkdir(directory_path().c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(guest.c_str(), 0755), 0);
  must(janitor.finish());
  EXPECT_TRUE(file_id(guest));
  ::rmdir(guest.c_str());
}

TEST_F(JanitorTest, RefusesToRemoveWhatExistedBefore) {
  Janitor janitor = must(Janitor::start());
  EXPECT_EQ(janitor.will_create_directory(directory_).error().code, EEXIST);
  const Fd theirs = bind_socket(socket_path());
  EXPECT_EQ(janitor.will_create_socket(socket_path()).error().code, EEXIST);
  must(janitor.finish());
  EXPECT_TRUE(file_id(socket_path()));
}

TEST_F(JanitorTest, ForgetsWhatIsWithdrawn) {
  Janitor janitor = must(Janitor::start());
  const Janitor::Registration registration = must(janitor.will_create_socket(socket_path()));
  const Fd socket = bind_socket(socket_path());
  must(janitor.withdraw(registration));
  EXPECT_EQ(janitor.withdraw(registration).error().code, ENOENT);
  must(janitor.finish());
  EXPECT_TRUE(file_id(socket_path()));
}

TEST_F(JanitorTest, ReportsWhatCouldNotBeRemoved) {
  Janitor janitor = must(Janitor::start());
  must(janitor.will_create_directory(directory_path()));
  const Fd file{::open(directory_path().c_str(), O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600)};
  const Result<void> finished = janitor.finish();
  ASSERT_EQ(::unlink(directory_path().c_str()), 0);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ENOTDIR);
  EXPECT_NE(finished.error().doing.find(directory_path()), std::string::npos);
}

TEST_F(JanitorTest, SwitchesVlanStrippingOnAgainAfterTheDaemonIsKilled) {
  const Netns ns = make_netns("red");
  make_veth(ns, "v0", "v1");
  const int ifindex = must(must(Links::open(ns)).find("v0")).ifindex;
  Child daemon{[&] {
    static Janitor janitor = must(Janitor::start());
    must(janitor.will_stop_vlan_stripping(ns, ifindex));
    must(set_vlan_stripping(ns, "v0", false));
  }};
  ASSERT_FALSE(must(nic_info(ns, "v0")).vlan_stripping);
  must(must(Links::open(ns)).configure(ifindex, {.name = "renamed"}));
  const pid_t janitor = janitor_of(daemon.pid());
  ASSERT_GT(janitor, 0);
  daemon.kill();
  EXPECT_EQ(wait_for_exit(janitor), 0);
  EXPECT_TRUE(must(nic_info(ns, "renamed")).vlan_stripping);
}

TEST_F(JanitorTest, LeavesADeviceThatHasTheNumberOfAnother) {
  const Netns ns = make_netns("red");
  make_veth(ns, "v0", "v1");
  Links links = must(Links::open(ns));
  const int ifindex = must(links.find("v0")).ifindex;
  Janitor janitor = must(Janitor::start());
  must(janitor.will_stop_vlan_stripping(ns, ifindex));
  must(links.remove(ifindex));
  make_veth(ns, "w0", "w1", {.ifindex = ifindex});
  ASSERT_EQ(must(links.find("w0")).ifindex, ifindex);
  must(set_vlan_stripping(ns, "w0", false));
  must(janitor.finish());
  EXPECT_FALSE(must(nic_info(ns, "w0")).vlan_stripping);
}

TEST_F(JanitorTest, LeavesADeviceThatHasLeftItsNamespace) {
  const Netns red = make_netns("red");
  const Netns blue = make_netns("blue");
  make_veth(red, "v0", "v1");
  const int ifindex = must(must(Links::open(red)).find("v0")).ifindex;
  Janitor janitor = must(Janitor::start());
  must(janitor.will_stop_vlan_stripping(red, ifindex));
  must(set_vlan_stripping(red, "v0", false));
  move_link(red, ifindex, blue);
  must(janitor.finish());
  EXPECT_FALSE(must(nic_info(blue, "v0")).vlan_stripping);
}

TEST_F(JanitorTest, ForgetsVlanStrippingThatIsWithdrawn) {
  const Netns ns = make_netns("red");
  make_veth(ns, "v0", "v1");
  const int ifindex = must(must(Links::open(ns)).find("v0")).ifindex;
  Janitor janitor = must(Janitor::start());
  EXPECT_EQ(janitor.will_stop_vlan_stripping(ns, 4711).error().code, ENODEV);
  const Janitor::Registration registration = must(janitor.will_stop_vlan_stripping(ns, ifindex));
  must(set_vlan_stripping(ns, "v0", false));
  must(janitor.withdraw(registration));
  must(janitor.finish());
  EXPECT_FALSE(must(nic_info(ns, "v0")).vlan_stripping);
}

TEST_F(JanitorTest, BoundsTheRegistry) {
  Janitor janitor = must(Janitor::start());
  Janitor::Registration last;
  for (std::size_t i = 0; i < Janitor::kMaxRegistrations; ++i) {
    last = must(janitor.will_create_netns({.name = "vethd-none", .netns = {}, .file = {}}));
  }
  const Result<Janitor::Registration> one_more = janitor.will_create_socket(socket_path());
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, ENOSPC);
  must(janitor.withdraw(last));
  EXPECT_TRUE(janitor.will_create_socket(socket_path()));
  const std::string too_long(Janitor::kMaxPathBytes + 1, 'x');
  EXPECT_EQ(janitor.will_create_socket(too_long).error().code, ENAMETOOLONG);
}

TEST_F(JanitorTest, IgnoresTheSignalsThatStopTheDaemon) {
  Janitor janitor = must(Janitor::start());
  must(janitor.will_create_socket(socket_path()));  // answered: it is past its own set-up
  const Fd socket = bind_socket(socket_path());
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGIO, SIGQUIT, SIGRTMIN + 1})
    ASSERT_EQ(::kill(janitor.pid(), signal), 0);
  must(janitor.finish());
  EXPECT_FALSE(file_id(socket_path()));
}

TEST_F(JanitorTest, HasItsOwnNameAndSessionAndKeepsNoDescriptors) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd reader{ends[0]};
  // Below and above the number that the janitor's own descriptor will have.
  Fd writer{ends[1]};
  Fd far_writer{::fcntl(ends[1], F_DUPFD_CLOEXEC, 500)};
  ASSERT_TRUE(far_writer.is_open());
  Janitor janitor = must(Janitor::start());
  must(janitor.will_create_socket(socket_path()));  // answered: it is past its own set-up
  writer.reset();
  far_writer.reset();
  pollfd closed{.fd = reader.get(), .events = 0, .revents = 0};
  ASSERT_EQ(::poll(&closed, 1, 0), 1) << "the janitor still holds the pipe";
  EXPECT_TRUE(closed.revents & POLLHUP);
  EXPECT_EQ(::getsid(janitor.pid()), janitor.pid());
  std::ifstream comm{"/proc/" + std::to_string(janitor.pid()) + "/comm"};
  std::string name;
  comm >> name;
  EXPECT_EQ(name, "vethd-janitor");
}

TEST_F(JanitorTest, AnotherTakesTheListOverWhenItDies) {
  Janitor janitor = must(Janitor::start());
  const pid_t first = janitor.pid();
  must(janitor.will_create_directory(directory_path()));
  ASSERT_EQ(::mkdir(directory_path().c_str(), 0755), 0);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  pollfd ended{.fd = janitor.fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&ended, 1, kTestPatienceMs), 1);
  must(janitor.ensure());
  EXPECT_NE(janitor.pid(), first);
  EXPECT_EQ(::kill(first, 0), -1) << "reaped";
  must(janitor.finish());
  EXPECT_FALSE(file_id(directory_path()));
}

TEST_F(JanitorTest, OneThatDiesMeanwhileIsReplacedByTheNextRequest) {
  Janitor janitor = must(Janitor::start());
  must(janitor.will_create_directory(directory_path()));
  ASSERT_EQ(::mkdir(directory_path().c_str(), 0755), 0);
  ASSERT_EQ(::kill(janitor.pid(), SIGKILL), 0);
  must(janitor.will_create_socket(socket_path()));
  const Fd socket = bind_socket(socket_path());
  must(janitor.finish());
  EXPECT_FALSE(file_id(directory_path()));
  EXPECT_FALSE(file_id(socket_path()));
}

TEST_F(JanitorTest, TheSecondOneCleansUpAfterTheDaemonIsKilled) {
  const Netns ns = make_netns("red");
  make_veth(ns, "v0", "v1");
  const int ifindex = must(must(Links::open(ns)).find("v0")).ifindex;
  Child daemon{[&] {
    static Janitor janitor = must(Janitor::start());
    must(janitor.will_create_directory(directory_path()));
    if (::mkdir(directory_path().c_str(), 0755) < 0) throw std::runtime_error("mkdir");
    // A descriptor that the second one has to inherit.
    must(janitor.will_stop_vlan_stripping(ns, ifindex));
    must(set_vlan_stripping(ns, "v0", false));
    ::kill(janitor.pid(), SIGKILL);
    must(janitor.will_create_socket(socket_path()));
    static Fd socket = bind_socket(socket_path());
  }};
  ASSERT_TRUE(file_id(socket_path()));
  const pid_t janitor = janitor_of(daemon.pid());
  ASSERT_GT(janitor, 0);
  daemon.kill();
  EXPECT_EQ(wait_for_exit(janitor), 0);
  EXPECT_FALSE(file_id(socket_path()));
  EXPECT_FALSE(file_id(directory_path()));
  EXPECT_TRUE(must(nic_info(ns, "v0")).vlan_stripping);
}

TEST_F(JanitorTest, OneThatIsStoppedIsReplaced) {
  Janitor janitor = must(Janitor::start());
  const pid_t first = janitor.pid();
  ASSERT_EQ(::kill(first, SIGSTOP), 0);
  must(janitor.will_create_socket(socket_path()));
  EXPECT_NE(janitor.pid(), first);
  const Fd socket = bind_socket(socket_path());
  must(janitor.finish());
  EXPECT_FALSE(file_id(socket_path()));
}

TEST_F(JanitorTest, FinishDoesItsWorkWhereItIsStoppedOrGone) {
  for (const int how : {SIGSTOP, SIGKILL}) {
    Janitor janitor = must(Janitor::start());
    must(janitor.will_create_socket(socket_path()));
    const Fd socket = bind_socket(socket_path());
    const pid_t pid = janitor.pid();
    ASSERT_EQ(::kill(pid, how), 0);
    must(janitor.finish());
    EXPECT_FALSE(file_id(socket_path()));
    EXPECT_EQ(::kill(pid, 0), -1);
  }
}

}  // namespace
}  // namespace vethd::test

#include "daemon/netns/namespace.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <stdexcept>
#include <string>

#include "daemon/netns/links.hpp"
#include "daemon/netns/named.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

constexpr int kLoopback = 1;  // ifindex of lo in every namespace

class NetnsTest : public PlatformTest {};

config::NetnsRef by_name(const std::string& name) {
  return {.kind = config::NetnsRef::Kind::name, .text = name, .pid = 0};
}
config::NetnsRef by_path(const std::string& path) {
  return {.kind = config::NetnsRef::Kind::path, .text = path, .pid = 0};
}
config::NetnsRef by_pid(pid_t pid) {
  return {.kind = config::NetnsRef::Kind::pid, .text = {}, .pid = pid};
}

/// A named namespace for one test.
class Named {
 public:
  explicit Named(const std::string& suffix)
      : ns_(must(create_named("vethd-" + std::to_string(::getpid()) + suffix,
                              [this](const NamedNetns& named) -> Result<void> {
                                named_ = named;
                                return {};
                              }))) {}
  Named(const Named&) = delete;
  Named& operator=(const Named&) = delete;
  ~Named() { EXPECT_TRUE(remove_named(named_)); }

  [[nodiscard]] const Netns& ns() const { return ns_; }
  [[nodiscard]] const NamedNetns& named() const { return named_; }

 private:
  NamedNetns named_;
  Netns ns_;
};

TEST_F(NetnsTest, OpensItsOwnNamespace) { EXPECT_EQ(must(Netns::open({})).id(), current_netns()); }

TEST_F(NetnsTest, CreatesANameThatOpensAsTheSameNamespaceWithLoopbackUp) {
  const NetnsId before = current_netns();
  const Named red{"-red"};
  EXPECT_EQ(current_netns(), before);
  EXPECT_NE(red.ns().id(), before);
  EXPECT_EQ(must(Netns::open(by_name(red.named().name))).id(), red.ns().id());
  EXPECT_EQ(must(Netns::open(by_path(netns_path(red.named().name)))).id(), red.ns().id());
  EXPECT_TRUE(must(must(Links::open(red.ns())).get(kLoopback)).up);
}

TEST_F(NetnsTest, RefusesANameThatIsTakenAndLeavesItsOwnerAlone) {
  const Named red{"-red"};
  const Result<Netns> second =
      create_named(red.named().name, [](const NamedNetns&) { return Result<void>{}; });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EEXIST);
  EXPECT_EQ(file_id(netns_path(red.named().name)), red.ns().id());
}

TEST_F(NetnsTest, CreatesNothingWhenTheAnnouncementFails) {
  const std::string name = "vethd-" + std::to_string(::getpid()) + "-refused";
  const Result<Netns> refused = create_named(
      name, [](const NamedNetns&) -> Result<void> { return fail("say no", "", EBUSY); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_FALSE(file_id(netns_path(name)));
}

TEST_F(NetnsTest, AnnouncesTheNameBeforeItExists) {
  const std::string name = "vethd-" + std::to_string(::getpid()) + "-announced";
  NamedNetns told;
  bool existed = true;
  const Result<Netns> ns = create_named(name, [&](const NamedNetns& named) -> Result<void> {
    told = named;
    existed = file_id(netns_path(name)).has_value();
    return {};
  });
  EXPECT_TRUE(remove_named(told));
  ASSERT_TRUE(ns);
  EXPECT_FALSE(existed);
  EXPECT_EQ(told.netns, ns->id());
}

TEST_F(NetnsTest, RemovesTheNameButNotTheNamespaceFromItsUsers) {
  NamedNetns named;
  const Netns ns = must(create_named("vethd-" + std::to_string(::getpid()) + "-removed",
                                     [&](const NamedNetns& announced) -> Result<void> {
                                       named = announced;
                                       return {};
                                     }));
  EXPECT_TRUE(remove_named(named));
  EXPECT_FALSE(file_id(netns_path(named.name)));
  EXPECT_TRUE(must(must(Links::open(ns)).get(kLoopback)).up);
  EXPECT_TRUE(remove_named(named)) << "removing what is gone is no error";
}

TEST_F(NetnsTest, RemovesAFileThatWasNeverMountedOn) {
  const Named red{"-red"};  // for /run/netns to exist
  const std::string name = red.named().name + "-file";
  const std::string path = netns_path(name);
  const Fd file{::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0)};
  ASSERT_TRUE(file.is_open());
  EXPECT_TRUE(remove_named({.name = name, .netns = red.ns().id(), .file = {}}));
  EXPECT_TRUE(file_id(path)) << "another file of that name must stay";
  EXPECT_TRUE(
      remove_named({.name = name, .netns = red.ns().id(), .file = file_id(file.get()).value()}));
  EXPECT_NE(::unlink(path.c_str()), 0) << "it was still there";
}

TEST_F(NetnsTest, SaysWhatToDoAboutANameThatDoesNotExist) {
  const Result<Netns> missing = Netns::open(by_name("vethd-no-such-namespace"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_NE(missing.error().text().find("ip netns add"), std::string::npos);
}

TEST_F(NetnsTest, RefusesAFileThatIsNoNetworkNamespace) {
  EXPECT_EQ(Netns::open(by_path("/dev/null")).error().code, EINVAL);
  EXPECT_EQ(Netns::open(by_path("/proc/self/ns/mnt")).error().code, EINVAL);
}

TEST_F(NetnsTest, OpensTheNamespaceOfAProcess) {
  const Child child{[] {
    if (::unshare(CLONE_NEWNET) < 0) throw std::runtime_error("unshare");
  }};
  const Netns ns = must(Netns::open(by_pid(child.pid())));
  EXPECT_NE(ns.id(), current_netns());
  EXPECT_EQ(ns.id(),
            must(Netns::open(by_path("/proc/" + std::to_string(child.pid()) + "/ns/net"))).id());
}

TEST_F(NetnsTest, RefusesTheNamespaceOfADeadProcess) {
  Child child{[] {}};
  const pid_t pid = child.pid();
  child.kill_unreaped();
  EXPECT_FALSE(Netns::open(by_pid(pid))) << "zombie";
  child.kill();
  const Result<Netns> gone = Netns::open(by_pid(pid));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ESRCH);
  EXPECT_NE(gone.error().text().find("no such process"), std::string::npos);
}

TEST_F(NetnsTest, InNetnsRunsInsideAndComesHome) {
  const Netns red = make_netns("red");
  const NetnsId home = current_netns();
  EXPECT_EQ(must(in_netns(red, [] { return Result<NetnsId>{current_netns()}; })), red.id());
  EXPECT_EQ(current_netns(), home);
}

TEST_F(NetnsTest, InNetnsComesHomeWhenTheFunctionFailsOrThrows) {
  const Netns red = make_netns("red");
  const NetnsId home = current_netns();
  const Result<int> failed = in_netns(red, []() -> Result<int> { return fail("try", "", EDOM); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, EDOM);
  EXPECT_EQ(current_netns(), home);
  EXPECT_THROW(in_netns(red, []() -> Result<int> { throw std::runtime_error("thrown"); }),
               std::runtime_error);
  EXPECT_EQ(current_netns(), home);
}

TEST_F(NetnsTest, InNetnsPanicsWhenTheWayHomeIsClosed) {
  ::testing::GTEST_FLAG(death_test_style) = "fast";
  const Netns red = make_netns("red");
  EXPECT_DEATH(static_cast<void>(in_netns(red,
                                          []() -> Result<int> {
                                            ::close_range(3, UINT_MAX, 0);
                                            return 0;
                                          })),
               "home netns");
}

}  // namespace
}  // namespace vethd::test

// Namespaces come to their end with a pair inside as they would with a veth, and not before.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "tests/system/lib/fixture.hpp"
#include "tests/system/lib/process.hpp"

namespace vethd::system_test {
namespace {

constexpr milliseconds kSoon = 10s;

class Namespaces : public OnWires {};
VETHD_ON_WIRES(kBothWires, Namespaces);

TEST_P(Namespaces, EndWithAPlainUmountOfTheirName) {
  connect({.pairs = {red_to_blue()}});
  const Finished done = run({"umount", "/run/netns/blue"});
  EXPECT_EQ(done.exit_code, 0) << done.err;  // busy, where somebody has it open
  const auto gone = [] { return !link_of("red", "veth0").exists; };
  EXPECT_TRUE(wait_until(gone, kSoon, "the other end to go too"));
  if (!on_vethd()) return;
  daemon().allow_log("web");
  const auto said = [this] {
    return daemon().process().err().find("pair web was the last") != std::string::npos;
  };
  EXPECT_TRUE(wait_until(said, kSoon, "the log to say that no pair is left"));
  const Finished shown = run_vethctl({"show"});
  EXPECT_EQ(shown.out.find("no pairs"), 0U) << shown.out;
}

class KeptNamespaces : public System {
 protected:
  /// web's end b is in a namespace without a name that this path leads to; those of spare pairs
  /// have names.
  void start_with_b_at(const std::string& path) {
    std::string toml = "[daemon]\ncreate_netns = false\n" + pair("web", "w", path);
    make_netns("red");
    for (const char* spare : kSpares) {
      make_netns(spare);
      toml += pair(spare, spare, spare);
    }
    start_with(toml);
    daemon().allow_log("web");
    for (const char* spare : kSpares) daemon().allow_log("pair " + std::string(spare) + ":");
  }

  /// A name goes. All namespaces are looked at together: as its pair is gone, web's has been, too.
  void expect_kept() {
    const std::string spare = kSpares.at(next_++);
    ip("netns del " + spare);
    const auto gone = [&] { return pair_in(show(), spare).empty(); };
    ASSERT_TRUE(wait_until(gone, kSoon, "the pair beside it to go"));
    EXPECT_FALSE(pair_in(show(), "web").empty()) << daemon().process().err();
    EXPECT_TRUE(link_of("red", "w0").carrier);
  }
  void expect_gone() {
    const auto gone = [] { return pair_in(show(), "web").empty(); };
    EXPECT_TRUE(wait_until(gone, kSoon, "the pair to go with its namespace"));
  }

 private:
  static constexpr std::array<const char*, 2> kSpares = {"s", "t"};

  static std::string pair(const std::string& name, const std::string& ifname,
                          const std::string& netns_b) {
    return "[[pair]]\nname = \"" + name + "\"\n[pair.a]\nnetns = \"red\"\nifname = \"" + ifname +
           "0\"\n[pair.b]\nnetns = \"" + netns_b + "\"\nifname = \"" + ifname + "1\"\n";
  }

  std::size_t next_ = 0;
};

std::string path_of(const Fd& descriptor) {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(descriptor.get());
}

TEST_F(KeptNamespaces, ByDescriptorsOfAProcess) {
  ip("netns add kept");
  Fd named = open_netns("kept");
  Fd other(::fcntl(named.get(), F_DUPFD_CLOEXEC, 0));
  ip("netns del kept");
  start_with_b_at(path_of(named));
  expect_kept();
  named.reset();
  expect_kept();  // by one that nobody named
  other.reset();
  expect_gone();
}

TEST_F(KeptNamespaces, ByAMountInTheMountNamespaceOfAProcess) {
  ip("netns add kept");
  auto process = std::make_unique<Process>(std::vector<std::string>{
      "unshare", "--mount", "--propagation", "private", "sh", "-c",
      "touch /run/kept && mount --bind /run/netns/kept /run/kept && echo mounted && "
      "exec sleep 100"});
  ASSERT_TRUE(wait_until([&] { return process->out() == "mounted\n"; }, kSoon, "the mount"));
  ip("netns del kept");
  start_with_b_at("/proc/" + std::to_string(process->pid()) + "/root/run/kept");
  expect_kept();
  process.reset();
  ::unlink("/run/kept");
  expect_gone();
}

}  // namespace
}  // namespace vethd::system_test

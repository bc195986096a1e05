#include "config/memory.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/config/check.hpp"

namespace vethd::config::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1 << 20;

/// A /proc and a /sys of the test's own.
class MemoryLimitTest : public testing::Test {
 protected:
  MemoryLimitTest() {
    std::string pattern = testing::TempDir() + "vethd-memory-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    write("proc/meminfo", "MemTotal:       1048576 kB\nMemFree:          4096 kB\n");
    write("proc/self/cgroup", "0::/system.slice/vethd.service\n");
  }
  ~MemoryLimitTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  fs::path root_;
};

TEST_F(MemoryLimitTest, IsThatOfTheMachineWithoutACgroup) {
  EXPECT_EQ(memory_limit(root_).bytes, 1024 * kMiB);
  write("sys/fs/cgroup/system.slice/vethd.service/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root_).bytes, 1024 * kMiB);
}

TEST_F(MemoryLimitTest, IsTheLeastOfAllCgroupsAbove) {
  write("sys/fs/cgroup/system.slice/vethd.service/memory.max", "524288000\n");
  write("sys/fs/cgroup/system.slice/memory.max", "41943040\n");
  const MemoryLimit limit = memory_limit(root_);
  EXPECT_EQ(limit.bytes, 40 * kMiB);
  EXPECT_EQ(limit.who, "memory.max of cgroup /system.slice");
}

TEST_F(MemoryLimitTest, InAContainerIsThatOfTheRootItSees) {
  write("proc/self/cgroup", "1:name=systemd:/x\n0::/\n");
  write("sys/fs/cgroup/memory.max", "41943040\n");
  EXPECT_EQ(memory_limit(root_).bytes, 40 * kMiB);
}

TEST_F(MemoryLimitTest, IsReadFromCgroupsOfVersionOne) {
  write("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n");
  write("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_limit(root_).bytes, 1024 * kMiB);
  write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "41943040\n");
  EXPECT_EQ(memory_limit(root_).who, "memory.limit_in_bytes of cgroup /a");
}

TEST_F(MemoryLimitTest, IsNotKnownWithoutProc) {
  fs::remove_all(root_ / "proc");
  EXPECT_EQ(memory_limit(root_).bytes, 0U);
}

/// Parsed on a host of 4 CPUs that has so much.
std::expected<Config, std::string> parsed_with(std::uint64_t bytes, const std::string& text) {
  const Host host{.online_cpus = {0, 1, 2, 3},
                  .memory = {.bytes = bytes, .who = "the cage", .can_be_raised = true}};
  const auto config = parse(text, "t.toml", host);
  if (!config) return std::unexpected(config.error().text());
  return *config;
}

TEST(Validate, RefusesMoreMemoryThanThereIs) {
  const auto refused = parsed_with(24576 * kMiB, with_daemon("memory = \"64GiB\""));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("t.toml:2:10: error: memory is 65536 MiB, and 16 MiB beside it "
                                 "for vethd itself, but the cage is 24576 MiB"),
            std::string::npos)
      << refused.error();
  EXPECT_NE(refused.error().find("write at most \"24560MiB\", or raise that limit"),
            std::string::npos)
      << refused.error();
  EXPECT_TRUE(parsed_with(24576 * kMiB, with_daemon("memory = \"24560MiB\"")));
}

TEST(Validate, LetsMemoryLeftOutShrinkToWhatThereIs) {
  const auto config = parsed_with(60 * kMiB, with_daemon(""));
  ASSERT_TRUE(config) << config.error();
  EXPECT_EQ(config->daemon.memory_bytes, 44 * kMiB);
}

TEST(Validate, SaysWhatAfXdpEndsNeedWhereThereIsLess) {
  const auto refused = parsed_with(40 * kMiB, with_nic_at_a(""));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("4 workers with AF_XDP ends need \"148MiB\": write fewer workers "
                                 "or smaller rings, or raise that limit"),
            std::string::npos)
      << refused.error();
}

}  // namespace
}  // namespace vethd::config::test

#include "config/validate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "config/limits.hpp"
#include "tests/unit/config/check.hpp"

namespace vethd::config::test {
namespace {

std::string pair_of_ends(std::string_view a, std::string_view b) {
  return "[[pair]]\nname = \"p\"\n[pair.a]\n" + std::string(a) + "\n[pair.b]\n" + std::string(b) +
         "\n";
}

TEST(Validate, ResolvesWorkersAndMemoryFromTheHost) {
  Host host;
  for (std::uint32_t cpu = 0; cpu < 20; ++cpu) host.online_cpus.push_back(cpu);
  const auto config = parse(kPair, "t.toml", host);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->daemon.workers, 20U);
  EXPECT_EQ(config->daemon.memory_bytes, minimum_memory_bytes(20));
  for (std::uint32_t cpu = 20; cpu < 400; ++cpu) host.online_cpus.push_back(cpu);
  EXPECT_EQ(parse(kPair, "t.toml", host)->daemon.workers, kMaxWorkers);
}

TEST(Validate, WantsOneOnlineCpuPerWorker) {
  EXPECT_TRUE(shows(refused(with_daemon("workers = 2\ncpu_affinity = [0]")),
                    "t.toml:3:16: error: cpu_affinity lists 1 CPUs for 2 workers; list one CPU"));
  EXPECT_TRUE(shows(refused(with_daemon("workers = 2\ncpu_affinity = []")), "lists 0 CPUs"));
  EXPECT_TRUE(shows(refused(with_daemon("workers = 1\ncpu_affinity = [4]")),
                    "t.toml:3:16: error: CPU 4 is not there; this process may use 0, 1, 2, 3"));
  EXPECT_FALSE(shows(refused(with_daemon("workers = 0\ncpu_affinity = [0]")), "cpu_affinity lists"))
      << "follows from the refused workers";
}

TEST(Validate, WantsMemoryForEachWorker) {
  EXPECT_TRUE(shows(refused(with_daemon("workers = 4\nmemory = \"31MiB\"")),
                    "t.toml:3:10: error: memory is too small for the landing buffers of 4 workers; "
                    "write at least \"32MiB\""));
  accepted(with_daemon("workers = 4\nmemory = \"32MiB\""));
}

TEST(Validate, WantsRpsCpusAmongTheWorkers) {
  EXPECT_TRUE(shows(refused(with_end_a("rps_cpus = [0, 4]")),
                    "t.toml:6:12: error: rps_cpus names emulated CPU 4 of 4 workers; write CPUs "
                    "from 0 to 3"));
  accepted("[daemon]\nworkers = 5\n" + with_end_a("rps_cpus = [0, 4]"));
}

TEST(Validate, ShowsBothPairsOfOneName) {
  const std::string errors =
      refused(with_pair("") +
              "[[pair]]\nname = \"p\"\n[pair.a]\nifname = \"x\"\n[pair.b]\nifname = "
              "\"y\"\n");
  EXPECT_TRUE(shows(errors,
                    "t.toml:9:8: error: two pairs are named 'p'; give each its own name\n"
                    "  name = \"p\"\n         ^\n"
                    "t.toml:2:8: note: the first is here\n"));
}

TEST(Validate, ShowsBothEndsOfOneNameInOneNamespace) {
  const struct {
    std::string_view a, b;
    bool clash;
  } kCases[] = {
      {"ifname = \"v\"", "ifname = \"v\"", true},
      {"ifname = \"v\"", "ifname = \"w\"", false},
      {"ifname = \"v\"\nnetns = \"red\"", "ifname = \"v\"\nnetns = \"red\"", true},
      {"ifname = \"v\"\nnetns = \"red\"", "ifname = \"v\"\nnetns = \"blue\"", false},
      {"ifname = \"v\"\nnetns = \"red\"", "ifname = \"v\"", false},
      {"ifname = \"v\"\nnetns = \"own\"", "ifname = \"v\"", false},
      {"ifname = \"v\"\nnetns = \"red\"", "ifname = \"v\"\nnetns = \"/run/netns/red\"", true},
      {"ifname = \"v\"\nnetns = \"red\"", "ifname = \"v\"\nnetns = \"/var/run/netns/red\"", true},
      {"ifname = \"v\"\nnetns = { pid = 7 }", "ifname = \"v\"\nnetns = { pid = 7 }", true},
      {"ifname = \"v\"\nnetns = { pid = 7 }", "ifname = \"v\"\nnetns = { pid = 8 }", false},
  };
  for (const auto& [a, b, clash] : kCases) {
    const std::string text = pair_of_ends(a, b);
    if (!clash) {
      accepted(text);
      continue;
    }
    const std::string errors = refused(text);
    EXPECT_TRUE(shows(errors, ":10: error: two ends named 'v' in one namespace"));
    EXPECT_TRUE(shows(errors, "change ifname or netns of one"));
    EXPECT_TRUE(shows(errors, "t.toml:4:10: note: the first is here"));
  }
}

TEST(Validate, WantsTwoMacs) {
  const std::string errors = refused(pair_of_ends("ifname = \"v\"\nmac = \"02:00:00:00:00:0a\"",
                                                  "ifname = \"w\"\nmac = \"02:00:00:00:00:0A\""));
  EXPECT_TRUE(shows(errors, "t.toml:8:7: error: both ends have the MAC 02:00:00:00:00:0a; change"));
  EXPECT_TRUE(shows(errors, "t.toml:5:7: note: end a has it here"));
}

TEST(Validate, WantsRoomForIpv6) {
  const std::string errors = refused(with_end_a("mtu = 1279\naddresses = [\"fd00::1/64\"]"));
  EXPECT_TRUE(
      shows(errors, "t.toml:7:14: error: an IPv6 address with mtu = 1279; raise mtu to 1280"));
  EXPECT_TRUE(shows(errors, "t.toml:6:7: note: mtu is here"));
  accepted(with_end_a("mtu = 1280\naddresses = [\"fd00::1/64\"]"));
  accepted(with_end_a("mtu = 1279\naddresses = [\"10.0.0.1/8\"]"));
}

TEST(ThisHost, NamesAtLeastOneCpuInOrder) {
  const auto host = this_host();
  ASSERT_TRUE(host);
  EXPECT_FALSE(host->online_cpus.empty());
  EXPECT_TRUE(std::ranges::is_sorted(host->online_cpus));
}

}  // namespace
}  // namespace vethd::config::test

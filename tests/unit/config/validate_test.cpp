#include "config/validate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "config/keys.hpp"
#include "config/limits.hpp"
#include "daemon/frame/arena.hpp"
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

TEST(Validate, RefusesTheKeysOfATapAtAnAfXdpEnd) {
  const struct {
    std::string_view line, error;
  } kCases[] = {
      {"mac = \"02:00:00:00:00:01\"", "t.toml:7:7: error: mac at an AF_XDP end; leave it out"},
      {"mtu = 9000", "mtu at an AF_XDP end; leave it out and run `ip link set dev IFNAME mtu N`"},
      {"addresses = [\"10.0.0.1/8\"]", "addresses at an AF_XDP end; give them to the other end"},
      {"txqueuelen = 500", "txqueuelen at an AF_XDP end; write tx_ring"},
      {"tso = true", "tso at an AF_XDP end; leave it out: no stack sends frames into this end"},
      {"xdp = { object = \"o\", program = \"p\" }",
       "t.toml:7:7: error: xdp at an AF_XDP end; put it at the other end"},
  };
  for (const auto& [line, error] : kCases) {
    const std::string errors = refused(with_nic_at_a(line));
    EXPECT_TRUE(shows(errors, error));
    EXPECT_TRUE(shows(errors, "t.toml:6:10: note: driver is here"));
    EXPECT_EQ(errors.find("error", errors.find("error") + 1), errors.npos) << "once:\n" << errors;
  }
  accepted(with_nic_at_a("gro = true\nrps_cpus = [1]\nrps_flow_cnt = 4\nmetadata = { mark = 1 }"));
}

TEST(Validate, RefusesEachKeyOfAnAfXdpEndAtATap) {
  int refusals = 0;
  for (const SectionInfo& section : all_keys()) {
    for (const KeyInfo& key : section.keys) {
      if (key.driver != Driver::af_xdp) continue;
      const std::string line = std::string(key.name) + " = " + std::string(key.example);
      EXPECT_TRUE(
          shows(refused(with_end_a(line)),
                std::string(key.name) + " at a TAP; leave it out, or write driver = \"af_xdp\""));
      EXPECT_TRUE(shows(refused(with_end_a("driver = \"tap\"\n" + line)),
                        "t.toml:6:10: note: driver is here"));
      EXPECT_FALSE(shows(refused(with_end_a("driver = \"tup\"\n" + line)), " at a TAP"))
          << "follows from the refused driver";
      ++refusals;
    }
  }
  EXPECT_EQ(refusals, 9);
}

TEST(Validate, GivesTheTsoOfAPairToItsTaps) {
  const Pair pair = accepted(
                        "[[pair]]\nname = \"p\"\ntso = false\n[pair.a]\ndriver = \"af_xdp\"\n"
                        "ifname = \"eth1\"\n[pair.b]\nifname = \"v\"\n")
                        .pairs[0];
  EXPECT_EQ(pair.a.written.find("tso"), nullptr);
  EXPECT_FALSE(pair.b.tso);
  EXPECT_TRUE(
      shows(refused("[[pair]]\nname = \"p\"\ntso = false\n[pair.a]\ndriver = \"af_xdp\"\n"
                    "ifname = \"eth1\"\n[pair.b]\ndriver = \"af_xdp\"\nifname = \"eth2\"\n"),
            "t.toml:3:7: error: tso of a pair of AF_XDP ends; leave it out"));
}

TEST(Validate, WantsRingsThatFitEachOther) {
  const std::string fill = refused(with_nic_at_a("rx_ring = 4096\nfill_ring = 2048"));
  EXPECT_TRUE(shows(fill,
                    "t.toml:8:13: error: fill_ring = 2048 with rx_ring = 4096; write "
                    "fill_ring = 4096 at least: no more chunks are lent"));
  EXPECT_TRUE(shows(refused(with_nic_at_a("rx_ring = 8192")),
                    "t.toml:7:11: error: fill_ring = 4096 with rx_ring = 8192; write"));
  EXPECT_TRUE(shows(refused(with_nic_at_a("tx_ring = 4096")),
                    "t.toml:7:11: error: completion_ring = 2048 with tx_ring = 4096; write "
                    "completion_ring = 4096 at least: the kernel sends nothing"));
  accepted(with_nic_at_a("rx_ring = 4096\ntx_ring = 4096\ncompletion_ring = 4096"));
  EXPECT_FALSE(shows(refused(with_nic_at_a("rx_ring = 4096\nfill_ring = 65")), "with rx_ring"))
      << "follows from the refused fill_ring";
}

TEST(Validate, WantsADeviceForOneEndOnly) {
  const std::string nic = "driver = \"af_xdp\"\nifname = \"eth1\"\n";
  EXPECT_TRUE(shows(refused(pair_of_ends(nic, nic)),
                    "t.toml:9:10: error: two ends named 'eth1' in one namespace (own)"));
  EXPECT_TRUE(shows(refused(pair_of_ends(nic, "ifname = \"eth1\"")), "two ends named 'eth1'"));
  accepted(pair_of_ends(nic, nic + "netns = \"red\""));
}

// One queue: 4096 chunks in the fill ring, 2048 in the tx ring and 1001 frames in the backlog.
constexpr std::uint64_t kChunksOfAQueue = 4096 + 2048 + 1001;

TEST(Validate, LetsMemoryLeftOutGrowToWhatAfXdpEndsNeed) {
  const auto memory = [](std::string_view text) { return accepted(text).daemon.memory_bytes; };
  const auto least = [](std::uint64_t chunks) {
    constexpr std::uint64_t kMiB = 1 << 20;
    return (minimum_memory_bytes(4, chunks) + kMiB - 1) / kMiB * kMiB;
  };
  EXPECT_EQ(memory(with_nic_at_a("")), least(kChunksOfAQueue));
  EXPECT_EQ(memory(with_nic_at_a("queues = 4")), least(kChunksOfAQueue)) << "a worker for each";
  EXPECT_EQ(memory(with_nic_at_a("queues = 5")), least(kChunksOfAQueue + 4096 + 2048))
      << "one worker has two, and one backlog";
  EXPECT_EQ(memory("[softnet]\nnetdev_max_backlog = 0\n" + with_nic_at_a("")),
            least(4096 + 2048 + 1));
  // The fifth pair starts with the worker of the first.
  std::string pairs;
  for (int i = 0; i < 5; ++i) {
    const std::string number = std::to_string(i);
    pairs += "[[pair]]\nname = \"p" + number + "\"\n[pair.a]\nifname = \"v" + number +
             "\"\n[pair.b]\ndriver = \"af_xdp\"\nifname = \"eth" + number + "\"\n";
  }
  EXPECT_EQ(memory(pairs), least(kChunksOfAQueue + 4096 + 2048));
  EXPECT_EQ(memory(kPair), 64U << 20) << "TAPs alone need no more than before";
}

TEST(Validate, WantsMemoryForTheRingsOfAfXdpEnds) {
  const auto with_memory = [](std::string_view size, std::string_view lines) {
    return "[daemon]\nmemory = \"" + std::string(size) + "\"\n" + with_nic_at_a(lines);
  };
  accepted(with_memory("148MiB", ""));
  EXPECT_TRUE(shows(refused(with_memory("147MiB", "")),
                    "t.toml:2:10: error: memory is too small for AF_XDP ends whose rings and "
                    "backlogs take 7145 chunks of 4KiB on one of 4 workers; write at least "
                    "\"148MiB\", each worker has the same share, or make fill_ring, tx_ring or"));
  EXPECT_TRUE(shows(refused(with_memory("1MiB", "")),
                    "landing buffers of 4 workers; write at least "
                    "\"148MiB\""));
  const std::string large = "queues = 256\nfill_ring = 65536";
  EXPECT_TRUE(shows(refused(with_memory("64GiB", large)),
                    "make fill_ring, tx_ring or netdev_max_backlog smaller: each worker has the "
                    "same share, and \"64GiB\" is the most"));
  EXPECT_TRUE(
      shows(refused(with_nic_at_a(large)), "t.toml: error: memory is too small for AF_XDP"));
  EXPECT_FALSE(shows(refused(with_memory("33MiB", "fill_ring = 1")), "memory is too small"))
      << "follows from the refused fill_ring";
}

TEST(Validate, CountsChunksAsTheArenaDividesItself) {
  for (const std::uint32_t workers : {1U, 3U, 256U}) {
    for (const std::uint64_t chunks : {std::uint64_t{0}, kChunksOfAQueue, std::uint64_t{50'000}}) {
      const ArenaPlan least = plan_arena(minimum_memory_bytes(workers), workers);
      const ArenaPlan plan = plan_arena(minimum_memory_bytes(workers, chunks), workers);
      EXPECT_EQ(plan.chunks_per_worker, least.chunks_per_worker + chunks);
    }
  }
}

TEST(Validate, WantsRpsCpusAmongTheWorkers) {
  EXPECT_TRUE(shows(refused(with_end_a("rps_cpus = [0, 4]")),
                    "t.toml:6:12: error: rps_cpus names emulated CPU 4 of 4 workers; write CPUs "
                    "from 0 to 3"));
  accepted("[daemon]\nworkers = 5\n" + with_end_a("rps_cpus = [0, 4]"));
  EXPECT_TRUE(shows(refused(with_end_a("queues = 2\nrps_cpus = [[0], [4]]")),
                    "rps_cpus names emulated CPU 4 of 4 workers"));
  EXPECT_TRUE(shows(refused(with_end_a("queues = 3\nrps_cpus = [[0], [1]]")),
                    "rps_cpus has 2 lists for 3 queues"));
  accepted(with_end_a("queues = 3\nrps_cpus = [[0], [], [1, 2]]"));
}

TEST(Validate, WantsFlowLimitCpusAmongTheWorkers) {
  EXPECT_TRUE(shows(refused(with_softnet("flow_limit_cpu_bitmap = [0, 4]")),
                    "t.toml:2:25: error: flow_limit_cpu_bitmap names emulated CPU 4 of 4 workers"));
  const std::string errors =
      refused("[softnet.x]\nhz = 100\n" + with_softnet("flow_limit_cpu_bitmap = [9]"));
  EXPECT_EQ(errors.find("flow_limit_cpu_bitmap names", errors.find("names") + 1), errors.npos)
      << "once, not for each machine that has it from [softnet]:\n"
      << errors;
}

TEST(Validate, WantsTwoJiffiesFrom61On) {
  const struct {
    std::string_view lines, error;  // empty: accepted
  } kCases[] = {
      {"netdev_budget_usecs = 7999",
       "t.toml:2:23: error: netdev_budget_usecs = 7999 in a machine of kernel 6.18 with hz = 250; "
       "write at least 8000: below two jiffies a 6.x kernel answers EINVAL"},
      {"netdev_budget_usecs = 8000", ""},
      {"netdev_budget_usecs = 2000\nhz = 1000", ""},
      {"netdev_budget_usecs = 1999\nhz = 1000", "write at least 2000"},
      {"netdev_budget_usecs = 6665\nhz = 300\nkernel = \"6.1\"", "write at least 6666"},
      {"netdev_budget_usecs = 0\nkernel = \"5.4\"", ""},
      {"netdev_budget_usecs = 0\nkernel = \"4.14\"", ""},
  };
  for (const auto& [lines, error] : kCases) {
    if (error.empty()) {
      accepted(with_softnet(lines));
    } else {
      EXPECT_TRUE(shows(refused(with_softnet(lines)), error));
    }
  }
  const std::string inherited = refused(
      "[softnet]\nnetdev_budget_usecs = 8000\n[softnet.slow]\nhz = 100\n" + std::string(kPair));
  EXPECT_TRUE(shows(inherited, "t.toml:3:1: error: netdev_budget_usecs = 8000 in a machine of"));
  EXPECT_TRUE(shows(inherited, "t.toml:2:23: note: netdev_budget_usecs is here"));
}

TEST(Validate, RefusesGroWhereVethHasNoNapi) {
  const std::string errors = refused(with_pair("kernel = \"4.14\"\ngro = true"));
  EXPECT_TRUE(shows(errors,
                    "t.toml:4:7: error: gro = true on kernel 4.14; write false, or take "
                    "kernel 6.1 or later: before about 5.13 veth has no NAPI"));
  EXPECT_TRUE(shows(errors, "t.toml:3:10: note: kernel is here"));
  EXPECT_EQ(errors.find("error", errors.find("error") + 1), errors.npos) << "once for both ends:\n"
                                                                         << errors;
  EXPECT_TRUE(shows(refused("[softnet]\nkernel = \"5.4\"\n" + with_end_a("gro = true")),
                    "gro = true on kernel 5.4"));
  EXPECT_TRUE(shows(refused(with_pair("kernel = \"5.4\"\nrx_udp_gro_forwarding = true")),
                    "rx_udp_gro_forwarding = true on kernel 5.4"));
  accepted(with_pair("kernel = \"6.1\"\ngro = true\nrx_udp_gro_forwarding = true"));
  accepted(with_pair("kernel = \"4.14\"\ngro = false\ntso = false"));
}

constexpr std::string_view kProgram = "xdp = { object = \"prog.o\", program = \"pass\" }\n";

std::string with_program_at_a(std::string_view kernel, std::string_view a, std::string_view b) {
  return "[softnet]\nkernel = \"" + std::string(kernel) + "\"\n" +
         pair_of_ends("ifname = \"v\"\n" + std::string(kProgram) + std::string(a),
                      "ifname = \"w\"\n" + std::string(b));
}

TEST(Validate, RefusesXdpAsVethDoes) {
  const struct {
    std::string_view kernel, a, b, error;
  } kCases[] = {
      {"5.4", "", "mtu = 3507",
       "t.toml:7:7: error: xdp while the peer has mtu = 3507; lower the "
       "peer's mtu to 3506: one page must hold its frames (ERANGE)"},
      {"6.18", "", "mtu = 9000", "unless the program takes fragments (SEC \"xdp.frags\") (ERANGE)"},
      {"6.18", "", "mtu = 9000", "t.toml:11:7: note: its mtu is here"},
      {"6.18", "queues = 1", "queues = 2",
       "t.toml:7:7: error: xdp with queues = 1 while the peer "
       "has 2; give this end as many"},
      {"6.18", "queues = 1", "queues = 2", "(ENOSPC)"},
  };
  for (const auto& [kernel, a, b, error] : kCases) {
    EXPECT_TRUE(shows(refused(with_program_at_a(kernel, a, b)), error));
  }
  EXPECT_TRUE(shows(refused(with_program_at_a("6.18", "gro = true", "")),
                    "xdp at an end with gro = true; write one of them"));
  accepted(with_program_at_a("6.18", "mtu = 9000", ""));  // its own mtu does not matter
  accepted(with_program_at_a("6.18", "queues = 2", "queues = 1"));
  accepted(with_program_at_a("4.14", "queues = 1", "mtu = 9000\nqueues = 2"));  // the stack's hook
}

TEST(Validate, AsksTheObjectForItsProgram) {
  Host host = kHost;
  std::string asked;
  host.inspect_xdp = [&](const std::string& object, const std::string& program) {
    asked += object + ":" + program + " ";
    return Result<XdpProgram>(XdpProgram{.frags = true});
  };
  const auto check = [&](std::string_view kernel, std::string_view mtu) {
    return parse(with_program_at_a(kernel, "", mtu), "t.toml", host);
  };
  EXPECT_TRUE(check("6.1", "mtu = 65521"));
  EXPECT_EQ(asked, "prog.o:pass ");
  EXPECT_FALSE(check("5.4", "mtu = 3507")) << "5.4 knows no fragments";

  host.inspect_xdp = [](const std::string&, const std::string&) -> Result<XdpProgram> {
    return fail("open prog.o", "give object a readable file", ENOENT);
  };
  const auto missing = check("6.18", "");
  ASSERT_FALSE(missing);
  EXPECT_TRUE(shows(missing.error().text(),
                    "t.toml:7:7: error: open prog.o: No such file or directory; give object a"));
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

// Each key: what it accepts, what it refuses, and in which words.
#include "config/parse.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/config/check.hpp"

namespace vethd::config::test {
namespace {

TEST(Parse, GivesDefaultsToWhatIsLeftOut) {
  const Config config = accepted(kPair);
  EXPECT_EQ(config.file, "t.toml");
  EXPECT_EQ(config.daemon.workers, 4U);  // one per CPU of the host
  EXPECT_TRUE(config.daemon.cpu_affinity.empty());
  EXPECT_EQ(config.daemon.control_socket, "/run/vethd/vethd.sock");
  EXPECT_TRUE(config.daemon.create_netns);
  EXPECT_EQ(config.daemon.memory_bytes, 64U << 20);
  ASSERT_EQ(config.machines.size(), 1U);
  const Softnet& softnet = config.machines[0];
  EXPECT_EQ(softnet.name, "default");
  EXPECT_EQ(softnet.kernel, KernelVersion::v6_18);
  EXPECT_EQ(softnet.netdev_max_backlog, 1000);
  EXPECT_EQ(softnet.netdev_budget, 300);
  EXPECT_EQ(softnet.netdev_budget_usecs, std::chrono::microseconds(8000));
  EXPECT_EQ(softnet.dev_weight, 64);
  EXPECT_EQ(softnet.dev_weight_rx_bias, 1);
  EXPECT_EQ(softnet.rps_sock_flow_entries, 0U);
  EXPECT_TRUE(softnet.flow_limit_cpu_bitmap.empty());
  EXPECT_EQ(softnet.flow_limit_table_len, 4096U);
  EXPECT_EQ(softnet.hz, 250U);
  EXPECT_EQ(softnet.arrival, Arrival::burst);
  ASSERT_EQ(config.pairs.size(), 1U);
  EXPECT_EQ(config.pairs[0].name, "p");
  EXPECT_EQ(config.pairs[0].machine.value, 0U);
  const End& end = config.pairs[0].b;
  EXPECT_EQ(end.driver, Driver::tap);
  EXPECT_EQ(end.netns, (NetnsRef{NetnsRef::Kind::name, "blue"}));
  EXPECT_EQ(end.ifname, "veth1");
  EXPECT_FALSE(end.mac);
  EXPECT_EQ(end.mtu, 1500U);
  EXPECT_TRUE(end.addresses.empty());
  EXPECT_EQ(end.queues, 1U);
  EXPECT_TRUE(end.rps_cpus.empty());
  EXPECT_EQ(end.rps_flow_cnt, 0U);
  EXPECT_EQ(end.txqueuelen, 4096U);
  EXPECT_FALSE(end.gro);  // as a fresh veth is
  EXPECT_TRUE(end.tso);
  EXPECT_FALSE(end.rx_udp_gro_forwarding);
  EXPECT_EQ(end.metadata.mark, 0U);
  EXPECT_FALSE(end.xdp);
  EXPECT_EQ(end.af_xdp.mode, XdpMode::automatic);
  EXPECT_TRUE(end.af_xdp.steer.all());
  EXPECT_FALSE(end.af_xdp.steer.multicast);
  EXPECT_FALSE(end.af_xdp.force);
  EXPECT_EQ(end.af_xdp.rx_ring, 2048U);
  EXPECT_EQ(end.af_xdp.tx_ring, 2048U);
  EXPECT_EQ(end.af_xdp.fill_ring, 4096U);
  EXPECT_EQ(end.af_xdp.completion_ring, 2048U);
  EXPECT_TRUE(end.af_xdp.need_wakeup);
  EXPECT_EQ(end.af_xdp.busy_poll_budget, 0U);
}

TEST(Parse, ReadsEveryKeyOfDaemon) {
  const Daemon daemon =
      accepted(with_daemon("workers = 2\ncpu_affinity = [3, 0]\ncontrol_socket = \"/run/x.sock\"\n"
                           "create_netns = false\nmemory = \"1GiB\""))
          .daemon;
  EXPECT_EQ(daemon.workers, 2U);
  EXPECT_EQ(daemon.cpu_affinity, (std::vector<std::uint32_t>{3, 0}));
  EXPECT_EQ(daemon.control_socket, "/run/x.sock");
  EXPECT_FALSE(daemon.create_netns);
  EXPECT_EQ(daemon.memory_bytes, 1ULL << 30);
}

TEST(Parse, ReadsEveryKeyOfSoftnet) {
  const Config config =
      accepted(with_softnet("kernel = \"6.18\"\nnetdev_max_backlog = 0\nnetdev_budget = 1\n"
                            "netdev_budget_usecs = 20000\ndev_weight = 2\narrival = \"inline\"\n"
                            "dev_weight_rx_bias = 3\nrps_sock_flow_entries = 1000\nhz = 300\n"
                            "flow_limit_cpu_bitmap = [3, 0]\nflow_limit_table_len = 1"));
  const Softnet& softnet = config.machines[0];
  EXPECT_EQ(softnet.netdev_max_backlog, 0);
  EXPECT_EQ(softnet.netdev_budget, 1);
  EXPECT_EQ(softnet.netdev_budget_usecs, std::chrono::milliseconds(20));
  EXPECT_EQ(softnet.dev_weight, 2);
  EXPECT_EQ(softnet.arrival, Arrival::inline_);
  EXPECT_EQ(softnet.dev_weight_rx_bias, 3);
  EXPECT_EQ(softnet.rps_sock_flow_entries, 1024U);  // rounded up, as the kernel does
  EXPECT_EQ(softnet.hz, 300U);
  EXPECT_EQ(softnet.flow_limit_cpu_bitmap, (std::vector<CpuId>{{0}, {3}}));
  EXPECT_EQ(softnet.flow_limit_table_len, 1U);
}

TEST(Parse, KnowsFiveKernelsAndTheirTimeBudgets) {
  const struct {
    std::string_view version;
    KernelVersion kernel;
    unsigned hz;
    int usecs;  // of a fresh kernel
  } kCases[] = {
      {"4.14", KernelVersion::v4_14, 250, 2000}, {"4.14", KernelVersion::v4_14, 100, 2000},
      {"5.4", KernelVersion::v5_4, 250, 8000},   {"5.4", KernelVersion::v5_4, 100, 20000},
      {"6.1", KernelVersion::v6_1, 300, 6666},   {"6.12", KernelVersion::v6_12, 1000, 2000},
      {"6.18", KernelVersion::v6_18, 250, 8000},
  };
  for (const auto& [version, kernel, hz, usecs] : kCases) {
    const Config config = accepted(
        with_softnet("kernel = \"" + std::string(version) + "\"\nhz = " + std::to_string(hz)));
    EXPECT_EQ(config.machines[0].kernel, kernel);
    EXPECT_EQ(config.machines[0].netdev_budget_usecs, std::chrono::microseconds(usecs));
  }
}

TEST(Parse, GivesEachMachineTheTimeBudgetOfItsKernelUnlessSoftnetSaysOne) {
  const std::string machines = "[softnet.old]\nkernel = \"4.14\"\n[softnet.slow]\nhz = 100\n";
  const Config fresh = accepted(machines + std::string(kPair));
  EXPECT_EQ(fresh.machines[1].netdev_budget_usecs, std::chrono::microseconds(2000));
  EXPECT_EQ(fresh.machines[2].netdev_budget_usecs, std::chrono::microseconds(20000));
  const Config said =
      accepted("[softnet]\nnetdev_budget_usecs = 30000\n" + machines + std::string(kPair));
  EXPECT_EQ(said.machines[1].netdev_budget_usecs, std::chrono::microseconds(30000));
  EXPECT_EQ(said.machines[2].netdev_budget_usecs, std::chrono::microseconds(30000));
}

TEST(Parse, ReadsEveryKeyOfAnEnd) {
  const Config config =
      accepted(with_end_a("driver = \"tap\"\nnetns = \"/proc/1/ns/net\"\nifname = \"left\"\n"
                          "mac = \"02:00:00:00:00:0A\"\nmtu = 9000\n"
                          "addresses = [\"192.168.1.1/24\", \"fd00::1/64\"]\nqueues = 3\n"
                          "rps_cpus = [3, 1]\nrps_flow_cnt = 5\ntxqueuelen = 8192\n"
                          "gro = true\ntso = false\nrx_udp_gro_forwarding = true"));
  const End& end = config.pairs[0].a;
  EXPECT_EQ(end.netns, (NetnsRef{NetnsRef::Kind::path, "/proc/1/ns/net"}));
  EXPECT_EQ(end.ifname, "left");
  EXPECT_EQ(end.mac->text(), "02:00:00:00:00:0a");
  EXPECT_EQ(end.mtu, 9000U);
  ASSERT_EQ(end.addresses.size(), 2U);
  EXPECT_EQ(end.addresses[0].family, AF_INET);
  EXPECT_EQ(end.addresses[1].text, "fd00::1/64");
  EXPECT_EQ(end.queues, 3U);
  EXPECT_EQ(end.rps_cpus, (std::vector<std::vector<CpuId>>{
                              {CpuId{1}, CpuId{3}}}));  // ascending, as in the kernel's mask
  EXPECT_EQ(end.rps_flow_cnt, 8U);                      // rounded up
  EXPECT_EQ(end.txqueuelen, 8192U);
  EXPECT_TRUE(end.gro);
  EXPECT_FALSE(end.tso);
  EXPECT_TRUE(end.rx_udp_gro_forwarding);
}

TEST(Parse, ReadsEveryKeyOfAnAfXdpEnd) {
  const End end =
      accepted(with_nic_at_a("ifname = \"eth1\"\nqueues = 4\nmode = \"generic\"\n"
                             "steer = { mac = \"02:00:00:00:00:0A\", vlan = 7, multicast = true }\n"
                             "force = true\nrx_ring = 64\ntx_ring = 128\nfill_ring = 256\n"
                             "completion_ring = 512\nneed_wakeup = false\nbusy_poll_budget = 64"))
          .pairs[0]
          .a;
  EXPECT_EQ(end.driver, Driver::af_xdp);
  EXPECT_EQ(end.ifname, "eth1");
  EXPECT_EQ(end.queues, 4U);
  const AfXdp& nic = end.af_xdp;
  EXPECT_EQ(nic.mode, XdpMode::generic);
  EXPECT_EQ(nic.steer, (Steer{parse_mac("02:00:00:00:00:0a"), 7, true}));
  EXPECT_TRUE(nic.force);
  EXPECT_EQ(nic.rx_ring, 64U);
  EXPECT_EQ(nic.tx_ring, 128U);
  EXPECT_EQ(nic.fill_ring, 256U);
  EXPECT_EQ(nic.completion_ring, 512U);
  EXPECT_FALSE(nic.need_wakeup);
  EXPECT_EQ(nic.busy_poll_budget, 64U);
}

TEST(Parse, KnowsFourModesAndFourWaysToSteer) {
  const auto nic = [](std::string_view line) {
    return accepted(with_nic_at_a(line)).pairs[0].a.af_xdp;
  };
  EXPECT_EQ(nic("mode = \"auto\"").mode, XdpMode::automatic);
  EXPECT_EQ(nic("mode = \"zerocopy\"").mode, XdpMode::zerocopy);
  EXPECT_EQ(nic("mode = \"copy\"").mode, XdpMode::copy);
  EXPECT_TRUE(nic("steer = \"all\"").steer.all());
  const auto mac = parse_mac("02:00:00:00:00:01");
  EXPECT_EQ(nic("steer = { mac = \"02:00:00:00:00:01\" }").steer,
            (Steer{mac, std::nullopt, false}));
  EXPECT_EQ(nic("steer = { vlan = 4094, multicast = false }").steer,
            (Steer{std::nullopt, 4094, false}));
  EXPECT_EQ(nic("steer.mac = \"02:00:00:00:00:01\"\nsteer.multicast = true").steer,
            (Steer{mac, std::nullopt, true}));
}

TEST(Parse, ReadsMetadataAndXdpOfAnEnd) {
  const Metadata metadata =
      accepted(with_metadata("mark = 4294967295\npriority = 3\nclassid = 0x100001"))
          .pairs[0]
          .a.metadata;
  EXPECT_EQ(metadata.mark, 4294967295U);
  EXPECT_EQ(metadata.priority, 3U);
  EXPECT_EQ(metadata.classid, 0x100001U);
  const End end = accepted(with_xdp("object = \"dir/prog.o\"\nprogram = \"pass\"")).pairs[0].a;
  ASSERT_TRUE(end.xdp);
  EXPECT_EQ(end.xdp->object, "dir/prog.o");
  EXPECT_EQ(end.xdp->program, "pass");
}

TEST(Parse, GivesAPairsFeaturesToBothEndsUnlessAnEndHasItsOwn) {
  const Pair pair = accepted(
                        "[[pair]]\nname = \"p\"\ngro = true\ntso = false\n"
                        "rx_udp_gro_forwarding = true\nrx_gro_list = false\n"
                        "[pair.a]\nifname = \"v\"\n"
                        "[pair.b]\nifname = \"w\"\ngro = false\ntso = true\n")
                        .pairs[0];
  EXPECT_TRUE(pair.a.gro);
  EXPECT_FALSE(pair.a.tso);
  EXPECT_TRUE(pair.a.rx_udp_gro_forwarding);
  EXPECT_FALSE(pair.b.gro);
  EXPECT_TRUE(pair.b.tso);
  EXPECT_TRUE(pair.b.rx_udp_gro_forwarding);
}

TEST(Parse, TakesANamespaceByPidOrTheDaemonsOwn) {
  EXPECT_EQ(accepted(with_end_a("netns = { pid = 123 }")).pairs[0].a.netns,
            (NetnsRef{NetnsRef::Kind::pid, "", 123}));
  EXPECT_EQ(accepted(with_end_a("")).pairs[0].a.netns, NetnsRef{});
}

TEST(Parse, LetsMachinesInheritFromSoftnetWhereverItStands) {
  const Config config = accepted(
      "[softnet.small]\nnetdev_max_backlog = 10\n[softnet]\ndev_weight = 7\n"
      "netdev_max_backlog = 500\n" +
      with_pair("softnet = \"small\""));
  ASSERT_EQ(config.machines.size(), 2U);
  EXPECT_EQ(config.machines[0].netdev_max_backlog, 500);
  const Softnet& small = config.machines[1];
  EXPECT_EQ(small.name, "small");
  EXPECT_EQ(small.netdev_max_backlog, 10);
  EXPECT_EQ(small.dev_weight, 7);
  EXPECT_EQ(config.pairs[0].machine.value, 1U);
}

TEST(Parse, TakesAPairsKernelAsTheDefaultMachineOfThatVersion) {
  EXPECT_EQ(accepted(with_pair("kernel = \"6.18\"")).pairs[0].machine.value, 0U);
  EXPECT_EQ(accepted(with_pair("softnet = \"default\"")).pairs[0].machine.value, 0U);
  const Config config =
      accepted("[softnet]\nnetdev_max_backlog = 5\n" + with_pair("kernel = \"4.14\"") +
               "[[pair]]\nname = \"q\"\nkernel = \"4.14\"\n[pair.a]\nifname = \"x\"\n"
               "[pair.b]\nifname = \"y\"\n");
  ASSERT_EQ(config.machines.size(), 2U);  // both pairs are on one machine
  const Softnet& machine = config.machines[1];
  EXPECT_EQ(machine.name, "kernel-4.14");
  EXPECT_EQ(machine.kernel, KernelVersion::v4_14);
  EXPECT_EQ(machine.netdev_max_backlog, 1000);
  EXPECT_EQ(machine.netdev_budget_usecs, std::chrono::microseconds(2000));
  EXPECT_EQ(config.pairs[0].machine.value, 1U);
  EXPECT_EQ(config.pairs[1].machine.value, 1U);
}

struct Refusal {
  std::string_view line;    // put in as a line of its own
  std::string_view column;  // of the complaint
  std::string_view wrong;   // part of what is wrong
  std::string_view right;   // part of what would be right
};

void expect_refused(const std::string& text, unsigned line, const Refusal& refusal) {
  const std::string errors = refused(text);
  const std::string place =
      "t.toml:" + std::to_string(line) + ":" + std::string(refusal.column) + ": error: ";
  EXPECT_TRUE(shows(errors, place));
  EXPECT_TRUE(shows(errors, refusal.wrong));
  EXPECT_TRUE(shows(errors, refusal.right));
  EXPECT_TRUE(shows(errors, "  " + std::string(refusal.line) + "\n")) << "the source line";
}

TEST(Parse, RefusesWrongDaemonKeys) {
  const Refusal kRefusals[] = {
      {"workers = 0", "11", "workers = 0 is not in 1..256", "leave it out for one worker per"},
      {"workers = 257", "11", "not in 1..256", "as in workers = 2"},
      {"workers = -1", "11", "not in 1..256", "as in workers = 2"},
      {"workers = 9223372036854775807", "11", "not in 1..256", "as in workers = 2"},
      {"workers = \"2\"", "11", "workers cannot be a string", "as in workers = 2"},
      {"workers = 2.0", "11", "workers cannot be a float", "as in workers = 2"},
      {"workers = 1979-05-27", "11", "workers cannot be a float or a date", "as in workers = 2"},
      {"cpu_affinity = 0", "16", "cannot be an integer", "as in cpu_affinity = [0, 1]"},
      {"cpu_affinity = [0, \"1\"]", "20", "cannot be a string", "one online CPU for each"},
      {"cpu_affinity = [0, 1, -1, 2]", "23", "-1 is not in 0..8191", "one online CPU"},
      {"cpu_affinity = [0, 1, 1, 2]", "23", "CPU 1 is listed twice", "one online CPU"},
      {"control_socket = 1", "18", "cannot be an integer", "write an absolute path"},
      {"control_socket = \"run/x\"", "18", "not the absolute path", "write an absolute path"},
      {"control_socket = \"/run/\"", "18", "not the absolute path", "write an absolute path"},
      {"control_socket = \"/a\\u0000b\"", "18", "not the absolute path", "write an absolute path"},
      {"create_netns = 1", "16", "create_netns cannot be an integer", "write true or false"},
      {"create_netns = \"yes\"", "16", "cannot be a string", "write true or false"},
      {"memory = 67108864", "10", "memory without a unit", "as in memory = \"64MiB\""},
      {"memory = true", "10", "cannot be a boolean", "as in memory = \"64MiB\""},
      {"memory = \"64MB\"", "10", "'64MB' is not a size", "KiB, MiB, GiB"},
      {"memory = \"64\"", "10", "'64' is not a size", "KiB, MiB, GiB"},
      {"memory = \"65GiB\"", "10", "'65GiB' is too much", "up to 64GiB"},
      {"memory = \"99999999999999999999GiB\"", "10", "is not a size", "up to 64GiB"},
      {"worker = 2", "1", "unknown key 'worker' in [daemon]", "did you mean 'workers'?"},
      {"colour = 2", "1", "unknown key 'colour' in [daemon]", "known: workers, cpu_affinity"},
  };
  for (const Refusal& refusal : kRefusals) {
    expect_refused(with_daemon(refusal.line), 2, refusal);
  }
  const std::string long_path = "control_socket = \"/" + std::string(107, 'x') + "\"";
  EXPECT_TRUE(shows(refused(with_daemon(long_path)),
                    "t.toml:2:18: error: a socket path of 108 characters does not fit the kernel's "
                    "sun_path; write an absolute path of at most 107 characters"));
  accepted(with_daemon("control_socket = \"/" + std::string(106, 'x') + "\""));
}

TEST(Parse, RefusesWrongSoftnetKeys) {
  const Refusal kRefusals[] = {
      {"kernel = \"4.15\"", "10", "kernel = '4.15' is not known", "\"4.14\", \"5.4\", \"6.1\""},
      {"kernel = 6.18", "10", "kernel cannot be a float", "as in kernel = \"6.18\""},
      {"netdev_max_backlog = -1", "22", "not in 0..1048576", "the kernel checks nothing"},
      {"netdev_max_backlog = 1048577", "22", "not in 0..1048576", "memory has"},
      {"netdev_max_backlog = {}", "22", "cannot be a table", "as in netdev_max_backlog = 1000"},
      {"netdev_budget = 0", "17", "not in 1..2147483647", "ends in time_squeeze"},
      {"netdev_budget = 2147483648", "17", "not in 1..2147483647", "write at least 1"},
      {"netdev_budget_usecs = -1", "23", "not in 0..2147483647", "for a 6.x kernel"},
      {"dev_weight_rx_bias = 0", "22", "not in 1..2147483647", "as a 6.x kernel requires"},
      {"rps_sock_flow_entries = -1", "25", "not in 0..262144", "rounded up to a power of two"},
      {"rps_sock_flow_entries = 262145", "25", "not in 0..262144", "which goes on to 2^29"},
      {"flow_limit_cpu_bitmap = 1", "25", "cannot be an integer", "from 0 to workers - 1"},
      {"flow_limit_cpu_bitmap = [0, 0]", "29", "CPU 0 is listed twice", "each once"},
      {"flow_limit_table_len = 0", "24", "not in 1..65536", "write a power of two"},
      {"flow_limit_table_len = 1000", "24", "= 1000 is not a power of two", "answers EINVAL"},
      {"flow_limit_table_len = 131072", "24", "not in 1..65536", "bucket numbers in 16 bits"},
      {"hz = 99", "6", "hz = 99 is not in 100..1000", "write 100, 250, 300 or 1000"},
      {"hz = 200", "6", "no kernel is built with HZ = 200", "write 100, 250, 300 or 1000"},
      {"dev_weight = 0", "14", "not in 1..2147483647", "as a 6.x kernel requires"},
      {"arrival = \"batch\"", "11", "'batch' is not known", "\"burst\" or \"inline\""},
      {"arrival = 1", "11", "cannot be an integer", "\"burst\" or \"inline\""},
      {"max_backlogg = 9", "1", "unknown key 'max_backlogg' in [softnet]",
       "; did you mean 'netdev_max_backlog'?"},
  };
  for (const Refusal& refusal : kRefusals) {
    expect_refused(with_softnet(refusal.line), 2, refusal);
  }
}

TEST(Parse, RefusesWrongPairKeys) {
  const Refusal kRefusals[] = {
      {"softnet = \"small\"", "11", "there is no machine 'small'", "known: default"},
      {"softnet = \"defualt\"", "11", "no machine 'defualt'", "did you mean 'default'?"},
      {"softnet = 1", "11", "softnet cannot be an integer", "the NAME of a [softnet.NAME]"},
      {"kernel = \"5.5\"", "10", "kernel = '5.5' is not known", "\"6.12\" or \"6.18\""},
      {"gro = 1", "7", "gro cannot be an integer", "write true or false"},
      {"rx_gro_list = true", "15", "no encoding in a virtio-net header", "write false"},
      {"names = \"x\"", "1", "unknown key 'names' in [[pair]]", "did you mean 'name'?"},
  };
  for (const Refusal& refusal : kRefusals) expect_refused(with_pair(refusal.line), 3, refusal);
  const std::string both = refused(with_pair("softnet = \"default\"\nkernel = \"6.18\""));
  EXPECT_TRUE(shows(both, "t.toml:4:10: error: a pair with both softnet and kernel; keep one"));
  EXPECT_TRUE(shows(both, "t.toml:3:11: note: softnet is here"));
}

TEST(Parse, RefusesWrongEndKeys) {
  const Refusal kRefusals[] = {
      {"driver = \"tun\"", "10", "driver = 'tun' is not known", "write \"tap\", or \"af_xdp\""},
      {"driver = 1", "10", "driver cannot be an integer", "write \"tap\""},
      {"netns = \"\"", "9", "'' is neither a namespace's name nor",
       "write a name, an absolute path"},
      {"netns = \"a/b\"", "9", "'a/b' is neither", "{ pid = 123 }"},
      {"netns = \"..\"", "9", "'..' is neither", "{ pid = 123 }"},
      {"netns = \"a b\"", "9", "'a b' is neither", "{ pid = 123 }"},
      {"netns = \"/x\\u0000\"", "9", "netns is no file name", "{ pid = 123 }"},
      {"netns = 123", "9", "netns cannot be an integer", "{ pid = 123 }"},
      {"netns = {}", "9", "netns names no pid", "{ pid = 123 }"},
      {"netns = { pid = 0 }", "17", "pid = 0 is no process id", "{ pid = 123 }"},
      {"netns = { pid = -1 }", "17", "pid = -1 is no process id", "{ pid = 123 }"},
      {"netns = { pid = 4294967297 }", "17", "4294967297 is no process id", "{ pid = 123 }"},
      {"netns = { pid = \"1\" }", "17", "pid cannot be a string", "{ pid = 123 }"},
      {"netns = { pod = 1 }", "11", "unknown key 'pod' in netns", "did you mean 'pid'?"},
      {"ifname = \"\"", "10", "'' is no interface name", "1 to 15 characters"},
      {"ifname = \"sixteen_letters_\"", "10", "is no interface name", "1 to 15 characters"},
      {"ifname = \"a/b\"", "10", "is no interface name", "dev_valid_name"},
      {"ifname = \"a:b\"", "10", "is no interface name", "dev_valid_name"},
      {"ifname = \"a b\"", "10", "is no interface name", "dev_valid_name"},
      {"ifname = \"veth%d\"", "10", "is no interface name", "'%'"},
      {"ifname = \"..\"", "10", "is no interface name", "dev_valid_name"},
      {"ifname = true", "10", "ifname cannot be a boolean", "as in ifname = \"veth0\""},
      {"mac = \"02:00:00:00:00\"", "7", "is no MAC address", "write a unicast address"},
      {"mac = \"01:00:00:00:00:01\"", "7", "with EADDRNOTAVAIL", "write a unicast address"},
      {"mac = \"00:00:00:00:00:00\"", "7", "with EADDRNOTAVAIL", "that is not all zero"},
      {"mac = 1", "7", "mac cannot be an integer", "write a unicast address"},
      {"mtu = 67", "7", "mtu = 67 is not in 68..65521", "Ethernet no less than 68"},
      {"mtu = 65522", "7", "not in 68..65521", "65535 bytes less the 14"},
      {"mtu = -9223372036854775808", "7", "not in 68..65521", "as in mtu = 1500"},
      {"addresses = \"192.168.1.1/24\"", "13", "cannot be a string", "as in addresses = ["},
      {"addresses = [1]", "14", "addresses cannot be an integer", "with their prefix lengths"},
      {"addresses = [\"10.0.0.1/8\", \"192.168.1.1\"]", "28", "'192.168.1.1' is no address with",
       "with their prefix lengths"},
      {"addresses = [\"192.168.1.1/33\"]", "14", "is no address with a prefix", "as in addresses"},
      {"addresses = [\"fd00::1/129\"]", "14", "is no address with a prefix", "as in addresses"},
      {"addresses = [\"0.0.0.0/0\"]", "14", "is the unspecified address", "unicast"},
      {"addresses = [\"::/64\"]", "14", "is the unspecified address", "unicast"},
      {"addresses = [\"224.0.0.1/24\"]", "14", "is a multicast address", "unicast"},
      {"addresses = [\"ff02::1/64\"]", "14", "is a multicast address", "unicast"},
      {"addresses = [\"255.255.255.255/32\"]", "14", "is the broadcast address", "unicast"},
      {"addresses = [\"::1/128\"]", "14", "is the loopback's address", "unicast"},
      {"addresses = [\"fd00::1/64\", \"fd00:0::1/48\"]", "28", "listed twice (the kernel: EEXIST)",
       "unicast"},
      {"queues = 0", "10", "not in 1..256", "at most 256 queues"},
      {"queues = 257", "10", "not in 1..256", "at most 256 queues"},
      {"rps_cpus = [256]", "13", "not in 0..255", "from 0 to workers - 1"},
      {"rps_cpus = [[0], 1]", "18", "has CPUs beside lists of CPUs", "for each queue"},
      {"rps_cpus = [[0], [1, 1]]", "22", "CPU 1 is listed twice", "each once"},
      {"rps_cpus = [[[0]]]", "14", "rps_cpus cannot be a", "for each queue"},
      {"rps_cpus = [1, 1]", "16", "CPU 1 is listed twice", "each once"},
      {"rps_cpus = \"all\"", "12", "rps_cpus cannot be a string", "as in rps_cpus = [0]"},
      {"rps_flow_cnt = 262145", "16", "not in 0..262144", "rounded up to a power of two"},
      {"gro = \"on\"", "7", "gro cannot be a string", "write true or false"},
      {"tso = 1", "7", "tso cannot be an integer", "write true or false"},
      {"rx_gro_list = true", "15", "no encoding in a virtio-net header", "write false"},
      {"rx_gro_list = 1", "15", "rx_gro_list cannot be an integer", "write false"},
      {"metadata = 1", "12", "metadata cannot be an integer", "section [pair.a.metadata]"},
      {"xdp = \"prog.o\"", "7", "xdp cannot be a string", "section [pair.a.xdp]"},
      {"xdp = {}", "7", "[pair.a.xdp] without object", "write object = \"prog.o\""},
      {"xdp = {}", "7", "[pair.a.xdp] without program", "write program = \"xdp_pass\""},
      {"txqueuelen = 0", "14", "not in 1..65536", "no slot nothing gets through"},
      {"txqueuelen = 65537", "14", "not in 1..65536", "no sender is charged"},
      {"adresses = []", "1", "unknown key 'adresses' in [pair.a]", "did you mean 'addresses'?"},
  };
  for (const Refusal& refusal : kRefusals) expect_refused(with_end_a(refusal.line), 6, refusal);
}

TEST(Parse, RefusesWrongAfXdpKeys) {
  const Refusal kRefusals[] = {
      {"mode = \"native\"", "8", "mode = 'native' is not known", "\"copy\" or \"generic\""},
      {"mode = 1", "8", "mode cannot be an integer", "as in mode = \"zerocopy\""},
      {"steer = \"none\"", "9", "steer = 'none' is not known", "write \"all\", or a table"},
      {"steer = true", "9", "steer cannot be a boolean", "write \"all\", or a table"},
      {"steer = {}", "9", "steer names neither mac nor vlan", "write \"all\", or a table"},
      {"steer = { mac = 1 }", "17", "mac cannot be an integer", "a unicast mac"},
      {"steer = { mac = \"02:00\" }", "17", "'02:00' is no MAC address", "a unicast mac"},
      {"steer = { mac = \"01:00:5e:00:00:01\" }", "17", "is no unicast address",
       "multicast beside mac"},
      {"steer = { mac = \"00:00:00:00:00:00\" }", "17", "is no unicast address", "a unicast mac"},
      {"steer = { vlan = 0 }", "18", "vlan = 0 is not in 1..4094", "a vlan from 1 to 4094"},
      {"steer = { vlan = 4095 }", "18", "vlan = 4095 is not in 1..4094", "a vlan from 1 to 4094"},
      {"steer = { vlan = \"7\" }", "18", "vlan cannot be a string", "a vlan from 1 to 4094"},
      {"steer = { multicast = 1 }", "23", "multicast cannot be an integer", "multicast beside mac"},
      {"steer = { vlan = 7, multicast = true }", "9",
       "multicast without mac: all frames, or all of", "multicast beside mac"},
      {"steer = { mark = 7 }", "11", "unknown key 'mark' in steer", "known: mac, vlan, multicast"},
      {"force = 1", "9", "force cannot be an integer", "write true or false"},
      {"rx_ring = 32", "11", "rx_ring = 32 is not in 64..65536", "write a power of two"},
      {"rx_ring = 131072", "11", "not in 64..65536", "write a power of two"},
      {"rx_ring = 1000", "11", "rx_ring = 1000 is not a power of two", "answers EINVAL"},
      {"tx_ring = 65", "11", "tx_ring = 65 is not a power of two", "as in tx_ring = 2048"},
      {"fill_ring = 4097", "13", "= 4097 is not a power of two", "as in fill_ring = 4096"},
      {"completion_ring = \"all\"", "19", "cannot be a string", "as in completion_ring = 2048"},
      {"need_wakeup = 0", "15", "need_wakeup cannot be an integer", "write true or false"},
      {"busy_poll_budget = -1", "20", "= -1 is not in 0..65535",
       "0 turns preferred busy polling off"},
      {"busy_poll_budget = 65536", "20", "= 65536 is not in 0..65535",
       "0 turns preferred busy polling"},
      {"fil_ring = 64", "1", "unknown key 'fil_ring' in [pair.a]", "did you mean 'fill_ring'?"},
  };
  for (const Refusal& refusal : kRefusals) expect_refused(with_nic_at_a(refusal.line), 7, refusal);
}

TEST(Parse, RefusesWrongMetadataAndXdpKeys) {
  const Refusal kMetadata[] = {
      {"mark = -1", "8", "mark = -1 is not in 0..4294967295", "skb->mark has 32 bits"},
      {"priority = 4294967296", "12", "not in 0..4294967295", "as in priority = 3"},
      {"classid = \"10:1\"", "11", "classid cannot be a string", "0x100001 is 10:1"},
      {"marc = 1", "1", "unknown key 'marc' in [pair.a.metadata]", "did you mean 'mark'?"},
  };
  for (const Refusal& refusal : kMetadata) expect_refused(with_metadata(refusal.line), 9, refusal);
  const Refusal kXdp[] = {
      {"object = \"\"", "10", "object is no file name", "path of an ELF file"},
      {"object = 1", "10", "object cannot be an integer", "as in object = \"prog.o\""},
      {"program = \"\"", "11", "'' is no program's name", "name of a function"},
      {"program = \"a b\"", "11", "'a b' is no program's name", "name of a function"},
      {"section = \"xdp\"", "1", "unknown key 'section' in [pair.a.xdp]", "known: object, program"},
  };
  for (const Refusal& refusal : kXdp) expect_refused(with_xdp(refusal.line), 9, refusal);
}

TEST(Parse, AcceptsBothEndsOfEachRange) {
  for (const char* line :
       {"workers = 1", "workers = 256\nmemory = \"2GiB\"", "memory = \"64GiB\""}) {
    accepted(with_daemon(line));
  }
  for (const char* line : {"netdev_max_backlog = 1048576", "netdev_budget = 2147483647",
                           "netdev_budget_usecs = 2147483647", "dev_weight = 2147483647",
                           "kernel = \"5.4\"\nnetdev_budget_usecs = 0",
                           "dev_weight_rx_bias = 2147483647", "rps_sock_flow_entries = 262144",
                           "flow_limit_table_len = 65536", "hz = 100", "hz = 1000"}) {
    accepted(with_softnet(line));
  }
  for (const char* line :
       {"mtu = 68", "mtu = 65521", "queues = 256", "txqueuelen = 1", "txqueuelen = 65536",
        "rps_flow_cnt = 262144", "netns = { pid = 2147483647 }"}) {
    accepted(with_end_a(line));
  }
  for (const char* line :
       {"rx_ring = 64\ntx_ring = 64\nfill_ring = 64\ncompletion_ring = 64",
        "busy_poll_budget = 65535",
        "rx_ring = 65536\ntx_ring = 65536\nfill_ring = 65536\ncompletion_ring = 65536"}) {
    accepted(with_nic_at_a(line));
  }
}

TEST(Parse, RefusesSectionsThatAreNone) {
  const struct {
    std::string_view text, error;
  } kCases[] = {
      {"", "t.toml: error: no [[pair]]; write at least one"},
      {"pair = []", "t.toml:1:8: error: no [[pair]]; write at least one"},
      {"pair = [1]", "t.toml:1:9: error: a pair cannot be an integer; write [[pair]]"},
      {"pair = 1", "error: pair cannot be an integer; write [[pair]]"},
      {"[pair]\nname = \"x\"", "t.toml:1:1: error: pair cannot be a table; write [[pair]], once"},
      {"daemon = 1", "t.toml:1:10: error: daemon cannot be an integer; write the section [daemon]"},
      {"softnet = []", "t.toml:1:11: error: softnet cannot be an array; write the section"},
      {"[demon]", "t.toml:1:2: error: unknown section 'demon'; did you mean 'daemon'?"},
      {"[[pair]]\na = 1", "t.toml:2:5: error: a cannot be an integer; write the section [pair.a]"},
      {"[[pair]]", "t.toml:1:1: error: a [[pair]] without name; write name = \"web\""},
      {"[[pair]]", "error: a [[pair]] without [pair.a]; write its end a"},
      {"[[pair]]", "error: a [[pair]] without [pair.b]; write its end b"},
      {"[[pair]]\n[pair.a]",
       "t.toml:2:1: error: [pair.a] without ifname; write ifname = \"veth0\""},
      {"[[pair]]\nname = \"a b\"", "t.toml:2:8: error: 'a b' is no pair name; write 1 to 63"},
      {"[softnet.default]", "'default' cannot be a machine's name; write 1 to 63"},
      {"[softnet.\"kernel-5.4\"]", "'kernel-5.4' cannot be a machine's name; write 1 to 63"},
      {"[softnet.\"a/b\"]", "t.toml:1:10: error: 'a/b' cannot be a machine's name"},
      {"[softnet.small]\ndev_wait = 1", "unknown key 'dev_wait' in [softnet.small]; did you mean"},
  };
  for (const auto& [text, error] : kCases) EXPECT_TRUE(shows(refused(text), error));
}

TEST(Parse, ReportsAllErrorsAtOnceInOrderOfTheFile) {
  const std::string errors = refused(
      "[daemon]\nworkers = 0\nmemory = 1\n"
      "[[pair]]\nname = \"p\"\nsoftnet = \"x\"\n[pair.a]\nifname = \"a/b\"\nmtu = 1\n"
      "[pair.b]\nifname = \"v\"\ncolour = 1\n"
      "[[pair]]\nname = \"p\"\n[pair.a]\nifname = \"v\"\n[pair.b]\nifname = \"w\"\n");
  std::size_t from = 0;
  for (const char* place :
       {":2:11: error", ":3:10: error", ":6:11: error", ":8:10: error", ":9:7: error",
        ":12:1: error", ":14:8: error: two pairs are named", ":16:10: error: two ends named 'v'"}) {
    from = errors.find(place, from);
    ASSERT_NE(from, std::string::npos) << place << " in\n" << errors;
  }
}

TEST(Load, SaysWhyAFileCannotBeRead) {
  const auto missing = load("/nowhere/pair.toml", kHost);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text(),
            "/nowhere/pair.toml: error: cannot be read: No such file or directory; give --config a "
            "readable file\n");
  const auto folder = load("/", kHost);
  ASSERT_FALSE(folder);
  EXPECT_TRUE(shows(folder.error().text(), "Is a directory"));
  const auto endless = load("/dev/zero", kHost);
  ASSERT_FALSE(endless);
  EXPECT_TRUE(shows(endless.error().text(), "larger than"));
}

}  // namespace
}  // namespace vethd::config::test

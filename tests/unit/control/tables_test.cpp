// What may be set while the daemon runs: values, refusals and their errno, kernel by kernel.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "config/limits.hpp"
#include "daemon/control/end_table.hpp"
#include "daemon/control/number.hpp"
#include "daemon/control/stable_mac.hpp"
#include "daemon/control/sysctl_table.hpp"

namespace vethd {
namespace {

using config::KernelVersion;

TEST(Int, IsReadAsTheKernelReadsIt) {
  EXPECT_EQ(parse_int("300"), 300);
  EXPECT_EQ(parse_int(" 300\n"), 300);
  EXPECT_EQ(parse_int("-1"), -1);
  EXPECT_EQ(parse_int("0"), 0);
  EXPECT_EQ(parse_int("0x10"), 16);
  EXPECT_EQ(parse_int("-0x10"), -16);
  EXPECT_EQ(parse_int("010"), 8);
  EXPECT_EQ(parse_int("300 400"), 300);
  EXPECT_EQ(parse_int("2147483647"), 2147483647);
  EXPECT_EQ(parse_int("-2147483648"), -2147483647 - 1);
  for (const char* text :
       {"", " ", "-", "--1", "+1", "0x", "08", "1,2", "12a", "1.0", "2147483648", "-2147483649",
        "18446744073709551616", "0000000000000000000000454", "0x100000000"}) {
    EXPECT_EQ(parse_int(text), std::nullopt) << '"' << text << '"';
  }
}

std::vector<CpuId> cpus(std::vector<std::uint32_t> numbers) {
  std::vector<CpuId> ids;
  for (const std::uint32_t number : numbers) ids.push_back({number});
  return ids;
}

TEST(CpuMask, IsHexadecimalInGroupsOf32) {
  const struct {
    std::string text;
    std::uint32_t cpus;
    std::vector<CpuId> mask;
    std::string printed;
  } kCases[] = {
      {"0", 2, cpus({}), "0"},
      {"3", 2, cpus({0, 1}), "3"},
      {"A\n", 4, cpus({1, 3}), "a"},
      {"00", 8, cpus({}), "00"},
      {"f", 5, cpus({0, 1, 2, 3}), "0f"},
      {"80000000", 32, cpus({31}), "80000000"},
      {"1,00000001", 33, cpus({0, 32}), "1,00000001"},
      {"1,1", 40, cpus({0, 32}), "01,00000001"},
      {"1 , 1", 40, cpus({0, 32}), "01,00000001"},
      {",1,", 2, cpus({0}), "1"},
      {" ", 2, cpus({}), "0"},
      {"", 2, cpus({}), "0"},
  };
  for (const auto& [text, count, mask, printed] : kCases) {
    const auto parsed = parse_cpu_mask(text, count);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, mask) << text;
    EXPECT_EQ(cpu_mask_text(mask, count), printed);
  }
}

TEST(CpuMask, RefusesWhatIsNoneOrNamesAbsentCpus) {
  const struct {
    std::string text;
    int code;
  } kCases[] = {
      {"x", EINVAL},       {"0x1", EINVAL},         {"-1", EINVAL},     {"3", 0},
      {"4", EOVERFLOW},    {"f", EOVERFLOW},        {"1 1", EOVERFLOW}, {"0,0", EOVERFLOW},
      {"1,,1", EOVERFLOW}, {"000000001", EOVERFLOW}};
  for (const auto& [text, code] : kCases) {
    const auto parsed = parse_cpu_mask(text, 2);
    EXPECT_EQ(parsed ? 0 : parsed.error().code, code) << text;
  }
}

struct Written {
  int code = 0;       // errno, or 0
  std::string reads;  // what the file reads afterwards
};

/// A fresh machine after one write.
Written write(const std::string& name, const std::string& value,
              const EmulatedKernel& kernel = {KernelVersion::v6_18, 250, 2}) {
  const SysctlEntry* const entry = find_sysctl("net.core." + name);
  if (entry == nullptr) return {ENOENT, ""};
  Sysctls sysctls;
  const auto written = entry->write(sysctls, value, kernel);
  if (!written) {
    EXPECT_FALSE(written.error().hint.empty()) << "the rule";
  }
  return {written ? 0 : written.error().code, entry->read(sysctls, kernel)};
}

TEST(Sysctl, HasTheNamesAndDefaultsOfTheKernel) {
  const std::pair<std::string, std::string> kDefaults[] = {
      {"dev_weight", "64"},           {"dev_weight_rx_bias", "1"},
      {"flow_limit_cpu_bitmap", "0"}, {"flow_limit_table_len", "4096"},
      {"netdev_budget", "300"},       {"netdev_budget_usecs", "8000"},
      {"netdev_max_backlog", "1000"}, {"rps_sock_flow_entries", "0"}};
  ASSERT_EQ(sysctl_table().size(), std::size(kDefaults));
  for (const auto& [name, value] : kDefaults) {
    const SysctlEntry* const entry = find_sysctl("net.core." + name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(full_name(*entry), "net.core." + name);
    EXPECT_EQ(entry->read(Sysctls{}, {KernelVersion::v6_18, 250, 2}), value);
  }
  for (const char* name : {"net.core.", "netdev_budget", "net.core.somaxconn", "net.ipv4.tcp_rmem"})
    EXPECT_EQ(find_sysctl(name), nullptr) << name;
}

TEST(Sysctl, TakesWhatTheKernelTakes) {
  const struct {
    std::string name, value;
    int code;
    std::string reads;
  } kCases[] = {
      {"netdev_max_backlog", "5", 0, "5"},
      {"netdev_max_backlog", "-1", 0, "-1"},  // unchecked
      {"netdev_max_backlog", "many", EINVAL, "1000"},
      {"netdev_max_backlog", "2147483648", EINVAL, "1000"},
      {"netdev_budget", "0", 0, "0"},  // unchecked
      {"netdev_budget", "", EINVAL, "300"},
      {"netdev_budget_usecs", "8000", 0, "8000"},
      {"netdev_budget_usecs", "7999", EINVAL, "8000"},
      {"dev_weight", "1", 0, "1"},
      {"dev_weight", "0", EINVAL, "64"},
      {"dev_weight_rx_bias", "2", 0, "2"},
      {"dev_weight_rx_bias", "-1", EINVAL, "1"},
      {"flow_limit_cpu_bitmap", "3", 0, "3"},
      {"flow_limit_cpu_bitmap", "4", EOVERFLOW, "0"},
      {"flow_limit_cpu_bitmap", "x", EINVAL, "0"},
      {"flow_limit_table_len", "8192", 0, "8192"},
      {"flow_limit_table_len", "1000", EINVAL, "4096"},
      {"flow_limit_table_len", "0", EINVAL, "4096"},
      {"flow_limit_table_len", "-2147483648", EINVAL, "4096"},
      {"flow_limit_table_len", "131072", ENOMEM, "4096"},
      {"rps_sock_flow_entries", "1000", 0, "1024"},  // rounded up
      {"rps_sock_flow_entries", "262144", 0, "262144"},
      {"rps_sock_flow_entries", "262145", ENOMEM, "0"},
      {"rps_sock_flow_entries", "536870912", ENOMEM, "0"},
      {"rps_sock_flow_entries", "536870913", EINVAL, "0"},
      {"rps_sock_flow_entries", "-1", EINVAL, "0"},
  };
  for (const auto& [name, value, code, reads] : kCases) {
    const Written written = write(name, value);
    EXPECT_EQ(written.code, code) << name << " = " << value;
    EXPECT_EQ(written.reads, reads) << name << " = " << value;
  }
}

TEST(Sysctl, FollowsTheVersionWhereKernelsDiffer) {
  const struct {
    std::string name, value;
    KernelVersion version;
    std::uint32_t hz;
    int code;
  } kCases[] = {
      {"netdev_budget_usecs", "0", KernelVersion::v4_14, 250, 0},
      {"netdev_budget_usecs", "0", KernelVersion::v5_4, 250, 0},
      {"netdev_budget_usecs", "-1", KernelVersion::v5_4, 250, EINVAL},
      {"netdev_budget_usecs", "7999", KernelVersion::v6_1, 250, EINVAL},
      {"netdev_budget_usecs", "7999", KernelVersion::v6_12, 250, EINVAL},
      {"netdev_budget_usecs", "2000", KernelVersion::v6_18, 1000, 0},
      {"dev_weight", "0", KernelVersion::v4_14, 250, 0},
      {"dev_weight_rx_bias", "-1", KernelVersion::v5_4, 250, 0},
      {"dev_weight", "0", KernelVersion::v6_1, 250, EINVAL},
      {"dev_weight_rx_bias", "0", KernelVersion::v6_1, 250, EINVAL},
      {"dev_weight", "-1", KernelVersion::v6_12, 250, EINVAL},
      {"dev_weight", "0", KernelVersion::v6_18, 250, EINVAL},
      {"dev_weight_rx_bias", "0", KernelVersion::v6_18, 250, EINVAL},
  };
  for (const auto& [name, value, version, hz, code] : kCases)
    EXPECT_EQ(write(name, value, {version, hz, 2}).code, code) << name << " = " << value;
}

/// What is refused; empty: taken.
std::string set(config::End& end, std::string_view name, std::string_view value) {
  const auto key = find_end_key(name, end);
  if (!key) return "no such key";
  const auto written = key->entry->write(end, key->queue, value, 4);
  return written ? "" : written.error().text();
}
std::string get(const config::End& end, std::string_view name) {
  const auto key = find_end_key(name, end);
  return key ? key->entry->read(end, key->queue) : "no such key";
}
using Masks = std::vector<std::vector<CpuId>>;

TEST(EndTable, SetsRpsOfOneReceiveQueue) {
  config::End end;
  end.queues = 3;
  EXPECT_EQ(set(end, "rx-1/rps_cpus", "2"), "");
  EXPECT_EQ(end.rps_cpus, (Masks{{}, cpus({2}), {}}));
  EXPECT_EQ(set(end, "rps_cpus", "0,1"), "");
  EXPECT_EQ(end.rps_cpus, Masks{cpus({0, 1})}) << "all of them";
  EXPECT_EQ(set(end, "rx-2/rps_cpus", ""), "");
  EXPECT_EQ(end.rps_cpus, (Masks{cpus({0, 1}), cpus({0, 1}), {}}));
  EXPECT_EQ(get(end, "rx-0/rps_cpus"), "0,1");
  EXPECT_EQ(get(end, "rx-2/rps_cpus"), "");
  EXPECT_EQ(set(end, "rx-0/rps_cpus", ""), "");
  EXPECT_EQ(set(end, "rx-1/rps_cpus", ""), "");
  EXPECT_TRUE(end.rps_cpus.empty()) << "no queue has one: no RPS";
  for (const char* unknown : {"rx-3/rps_cpus", "rx--1/rps_cpus", "rx-/rps_cpus", "rx-1/", "rx-1",
                              "tx-0/rps_cpus", "rx-1/rps_flow_cnt"})
    EXPECT_EQ(set(end, unknown, "0"), "no such key") << unknown;
}

TEST(EndTable, SetsRpsOfAnEnd) {
  config::End end;
  EXPECT_EQ(set(end, "rps_cpus", "3,0,3"), "");
  EXPECT_EQ(end.rps_cpus, Masks{cpus({0, 3})});  // a mask: ascending, each once
  EXPECT_EQ(get(end, "rps_cpus"), "0,3");
  for (const char* wrong : {"4", "-1", "0,", ",0", "0,,1", "a", "0 1"}) {
    EXPECT_NE(set(end, "rps_cpus", wrong).find("CPUs from 0 to 3"), std::string::npos) << wrong;
    EXPECT_EQ(end.rps_cpus, Masks{cpus({0, 3})}) << "as it was";
  }
  EXPECT_EQ(set(end, "rps_cpus", ""), "");
  EXPECT_TRUE(end.rps_cpus.empty());

  EXPECT_EQ(set(end, "rps_flow_cnt", "1000"), "");
  EXPECT_EQ(end.rps_flow_cnt, 1024U);
  EXPECT_EQ(set(end, "rps_flow_cnt", "0"), "");
  EXPECT_EQ(end.rps_flow_cnt, 0U);
  for (const char* wrong : {"-1", "262145", "", "many"})
    EXPECT_NE(set(end, "rps_flow_cnt", wrong), "") << wrong;
}

TEST(StableMac, IsTheSameForTheSameEndOnly) {
  const HostKey host = host_key("6f0b1e2d3c4a5968778695a4b3c2d1e0", "boot 1", "red");
  const MacAddress mac = stable_mac(host, "/run/vethd/vethd.sock", "web", Side::a);
  // Known from the first version: it may never change.
  EXPECT_EQ(mac.text(), "be:4f:6f:00:13:65");
  const HostKey next_boot = host_key("6f0b1e2d3c4a5968778695a4b3c2d1e0", "boot 2", "blue");
  EXPECT_EQ(stable_mac(next_boot, "/run/vethd/vethd.sock", "web", Side::a), mac);

  const HostKey other_host = host_key("6f0b1e2d3c4a5968778695a4b3c2d1e1", "boot 1", "red");
  EXPECT_NE(stable_mac(other_host, "/run/vethd/vethd.sock", "web", Side::a), mac);
  EXPECT_NE(stable_mac(host, "/run/other.sock", "web", Side::a), mac);
  EXPECT_NE(stable_mac(host, "/run/vethd/vethd.sock", "db", Side::a), mac);
  EXPECT_NE(stable_mac(host, "/run/vethd/vethd.sock", "web", Side::b), mac);
  // Where one text ends and the next begins counts.
  EXPECT_NE(stable_mac(host, "/run/vethd/vethd.sockw", "eb", Side::a), mac);
}

TEST(StableMac, IsUnicastAndLocallyAdministered) {
  for (int i = 0; i < 256; ++i) {
    const MacAddress mac = stable_mac({1, 2}, "/run/vethd.sock", std::to_string(i), Side::b);
    EXPECT_TRUE(mac.is_valid());
    EXPECT_EQ(mac.bytes[0] & 3, 2);
  }
}

TEST(StableMac, LastsForABootWhereThereIsNoMachineId) {
  const auto mac_of = [](std::string_view id, std::string_view boot, std::string_view name) {
    return stable_mac(host_key(id, boot, name), "/run/vethd.sock", "web", Side::a);
  };
  for (const std::string_view none : {"", "uninitialized"}) {
    EXPECT_EQ(mac_of(none, "boot 1", "red"), mac_of("", "boot 1", "red"));
    EXPECT_NE(mac_of(none, "boot 2", "red"), mac_of("", "boot 1", "red"));
    EXPECT_NE(mac_of(none, "boot 1", "blue"), mac_of("", "boot 1", "red"));
  }
}

TEST(StableMac, LeavesWhatIsConfiguredAndWhatIsNoTap) {
  const MacAddress mine{{2, 0, 0, 0, 0, 1}};
  config::Config config;
  config.pairs.resize(2);
  config.pairs[0].name = "web";
  config.pairs[0].a.mac = mine;
  config.pairs[1].name = "up";
  config.pairs[1].b.driver = config::Driver::af_xdp;
  give_macs(config, {1, 2});
  EXPECT_EQ(config.pairs[0].a.mac, mine);
  EXPECT_EQ(config.pairs[0].b.mac,
            stable_mac({1, 2}, config.daemon.control_socket, "web", Side::b));
  EXPECT_TRUE(config.pairs[1].a.mac);
  EXPECT_FALSE(config.pairs[1].b.mac);
}

}  // namespace
}  // namespace vethd

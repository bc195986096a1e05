#include "daemon/stats/softnet_stat.hpp"

#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace vethd {
namespace {

SoftnetStatReport report(std::size_t columns, const char* machine = "m") {
  SoftnetCounters counters;
  counters.processed = 0x100000abc;  // 33 bits: the kernel's are 32
  counters.dropped = 2;
  counters.time_squeeze = 3;
  counters.received_rps = 10;
  counters.flow_limit_count = 11;
  counters.input_qlen = 14;
  counters.process_qlen = 15;
  return {.machine = machine, .kernel = "x", .columns = columns, .cpus = {{}, counters}};
}

std::string second_row(std::size_t columns) {
  const std::string text = softnet_text(softnet_json({report(columns)}));
  return text.substr(text.find('\n') + 1);
}

TEST(SoftnetStat, HasTheColumnsOfTheKernel) {
  const std::string eleven =
      "00000abc 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 0000000a "
      "0000000b";
  EXPECT_EQ(second_row(11), eleven + "\n");
  EXPECT_EQ(second_row(13), eleven + " 0000001d 00000001\n");
  EXPECT_EQ(second_row(15), eleven + " 0000001d 00000001 0000000e 0000000f\n");
}

TEST(SoftnetStat, NamesTheColumnsInJson) {
  const auto json = softnet_json({report(15)});
  const auto& cpu = json.at("machines").at(0).at("cpus").at(1).as_object();
  EXPECT_EQ(cpu.at("processed").to_number<std::uint64_t>(), 0x100000abcU);
  EXPECT_EQ(cpu.at("backlog_len").to_number<int>(), 29);
  EXPECT_EQ(cpu.at("cpu").to_number<int>(), 1);
  EXPECT_EQ(cpu.size(), 9U);  // without the six that are always 0
  EXPECT_EQ(softnet_json({report(11)}).at("machines").at(0).at("cpus").at(1).as_object().size(),
            5U);
}

TEST(SoftnetStat, PutsNamesBeforeSeveralMachines) {
  const std::string text = softnet_text(softnet_json({report(11), report(13, "n")}));
  EXPECT_EQ(text.find("m:\n00000000 "), 0U);
  EXPECT_NE(text.find("\nn:\n00000000 "), std::string::npos);
}

}  // namespace
}  // namespace vethd

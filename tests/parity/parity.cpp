// Runs the table on a real veth pair and on vethd, and reports both side by side.
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>

#include "tests/parity/bed.hpp"
#include "tests/parity/case.hpp"
#include "tests/parity/report.hpp"
#include "tests/system/lib/sandbox.hpp"
#include "tests/system/lib/wait.hpp"

namespace vethd::parity {
namespace {

using namespace std::chrono_literals;

constexpr const char* kOracle = "6.18";  // the kernel whose column a real veth pair must show
constexpr unsigned kLeastAgreed = 200;
const Subject kVeth;

/// The report is written when all tests have ended, whichever of them were chosen.
class AtTheEnd : public testing::Environment {
 public:
  Report report;

  void TearDown() override {
    const std::string text = report.text();
    std::printf("\n%s", text.c_str());
    std::ofstream(PARITY_REPORT_DIRECTORY "/parity.txt") << text;
    std::ofstream(PARITY_REPORT_DIRECTORY "/parity.json") << report.json() << '\n';
    const testing::UnitTest& run = *testing::UnitTest::GetInstance();
    const bool whole_table = run.test_to_run_count() == run.total_test_count();
    if (whole_table && run.skipped_test_count() == 0) {
      EXPECT_GE(report.agreed(), kLeastAgreed);
    }
  }
};

AtTheEnd* const at_the_end = new AtTheEnd;  // gtest deletes it
[[maybe_unused]] const testing::Environment* const registered =
    testing::AddGlobalTestEnvironment(at_the_end);

const std::vector<Case>& table() {
  static const std::vector<Case> all = [] {
    std::vector<Case> joined;
    for (const auto& part : {link_cases, length_cases, counter_cases, type_cases, checksum_cases,
                             gro_tcp_cases, gro_udp_cases, xdp_cases}) {
      const std::vector<Case> cases = part();
      joined.insert(joined.end(), cases.begin(), cases.end());
    }
    return joined;
  }();
  return all;
}

std::string running_kernel() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "";
}

std::string missing() {
  const std::string privilege = system_test::missing_privilege();
  if (!privilege.empty()) return privilege;
  if (!running_kernel().starts_with(std::string(kOracle) + "."))
    return std::string("the table holds what Linux ") + kOracle + " does; this is " +
           running_kernel();
  return {};
}

/// Does what the case says and looks until it looks as expected, at most for a while.
Values play(const Case& the_case, const Values& expected, const Subject& subject,
            std::string& digest) {
  constexpr system_test::milliseconds kPatience = 3s;
  Values seen;
  for (const Value& value : expected) seen.push_back({value.name, "not seen"});
  try {
    Bed bed(the_case.setup, subject);
    for (const Step& step : the_case.steps) step(bed);
    bed.settle();
    const auto as_expected = [&] {
      for (Value& value : seen) value.text = bed.observe(value.name);
      return seen == expected;
    };
    (void)system_test::wait_until(as_expected, kPatience, "the expected values");  // seen tells
    digest = bed.digest();
    bed.finish();
  } catch (const std::exception& error) {  // still a line in the report
    ADD_FAILURE() << (subject.kernel ? "vethd " + *subject.kernel : "veth") << ": " << error.what();
  }
  return seen;
}

Values with(const Values& base, const Values& changes) {
  Values merged = base;
  for (const Value& change : changes) {
    const auto at = std::ranges::find(merged, change.name, &Value::name);
    if (at == merged.end()) throw std::logic_error("no base value for " + change.name);
    at->text = change.text;
  }
  return merged;
}

void judge(const Outcome& outcome) {
  for (std::size_t i = 0; i < outcome.expected.size(); ++i) {
    const Value& expected = outcome.expected[i];
    if (outcome.theirs) {
      EXPECT_EQ((*outcome.theirs)[i].text, expected.text) << "veth: " << expected.name;
    }
    EXPECT_EQ(outcome.ours[i].text, expected.text)
        << "vethd " << outcome.kernel << ": " << expected.name;
  }
  at_the_end->report.add(outcome);
}

class Parity : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (!missing().empty()) GTEST_SKIP() << missing();
  }
  void TearDown() override {
    if (!missing().empty()) return;
    const auto clean = [] { return system_test::leftovers().empty(); };
    EXPECT_TRUE(system_test::wait_until(clean, 2s, "a clean host")) << system_test::leftovers();
  }
};

TEST_P(Parity, Holds) {
  const Case& the_case = table()[GetParam()];
  std::string their_digest;
  std::string our_digest;
  Outcome outcome{.row = the_case.row,
                  .name = the_case.name,
                  .kernel = kOracle,
                  .expected = the_case.expected,
                  .theirs = play(the_case, the_case.expected, kVeth, their_digest),
                  .ours = play(the_case, the_case.expected, {.kernel = kOracle}, our_digest)};
  // Every byte and mark of what was delivered, beyond what the case names.
  outcome.expected.push_back({"frames", their_digest});
  outcome.theirs->push_back({"frames", their_digest});
  outcome.ours.push_back({"frames", our_digest});
  judge(outcome);

  // Coalescing is not the kernel's: where frames of a flow leave in a row it shows, else never.
  Outcome coalesced{
      .row = the_case.row,
      .name = the_case.name + ", coalesced",
      .kernel = kOracle,
      .expected = with(the_case.expected, the_case.coalesced),
      .theirs = {},
      .ours = play(the_case, with(the_case.expected, the_case.coalesced),
                   {.kernel = kOracle, .coalesce = true}, our_digest),
  };
  if (the_case.coalesced.empty()) {
    coalesced.expected.push_back({"frames", their_digest});
    coalesced.ours.push_back({"frames", our_digest});
  }
  judge(coalesced);

  for (const Difference& other : the_case.elsewhere) {
    const Values expected = with(the_case.expected, other.expected);
    judge({.row = the_case.row,
           .name = the_case.name,
           .kernel = other.kernel,
           .expected = expected,
           .theirs = {},
           .ours = play(the_case, expected, {.kernel = other.kernel}, our_digest)});
  }
}

std::string test_name(const testing::TestParamInfo<std::size_t>& info) {
  const Case& the_case = table()[info.param];
  std::string name = "row" + std::to_string(the_case.row) + "_";
  for (const char c : the_case.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, Parity, testing::Range<std::size_t>(0, table().size()), test_name);

}  // namespace
}  // namespace vethd::parity

#include "tests/system/lib/fixture.hpp"

#include <algorithm>

#include "tests/system/lib/process.hpp"
#include "tests/system/lib/sandbox.hpp"

namespace vethd::system_test {

void System::SetUp() {
  const std::string missing = missing_privilege();
  if (!missing.empty()) GTEST_SKIP() << missing;
}

void System::TearDown() {
  if (!missing_privilege().empty()) return;
  if (daemon_ && daemon_->process().wait_exit(0ms)) {
    ADD_FAILURE() << "the daemon died during the test, exit code "
                  << *daemon_->process().wait_exit(0ms) << ":\n"
                  << daemon_->process().err();
    daemon_.reset();
  }
  if (daemon_) {
    EXPECT_TRUE(wait_until(ledgers_at_rest, 2s, "every ledger balanced, nothing in flight"));
    EXPECT_TRUE(daemon_->stop());
    EXPECT_EQ(daemon_->unexpected_log(), "");
    if (HasFailure()) GTEST_LOG_(INFO) << "the daemon's log:\n" << daemon_->process().err();
    daemon_.reset();
  }
  namespaces_.clear();
  EXPECT_TRUE(wait_until([] { return leftovers().empty(); }, 2s, "a clean host")) << leftovers();
}

void System::make_netns_for(const Topology& topology) {
  std::vector<std::string> names;
  for (const Pair& pair : topology.pairs) {
    for (const End* end : {&pair.a, &pair.b}) {
      const bool known = netns_exists(end->netns) || std::ranges::count(names, end->netns) > 0;
      if (!end->netns.empty() && !known) names.push_back(end->netns);
    }
  }
  for (const std::string& name : names) make_netns(name);
}

void System::start(const Topology& topology) {
  if (!topology.create_netns) make_netns_for(topology);
  start_with(to_toml(topology));
}

void OnBothWires::connect(const Topology& topology) {
  if (on_vethd()) return start(topology);
  make_netns_for(topology);
  make_kernel_veth(topology);
}

void OnBothWires::expect_no_drops(const std::string& pair) {
  if (!on_vethd()) return;
  EXPECT_EQ(drops_in(ledger(pair, "a_to_b")), "");
  EXPECT_EQ(drops_in(ledger(pair, "b_to_a")), "");
}

std::string wire_name(const testing::TestParamInfo<Wire>& info) {
  return info.param == Wire::vethd ? "vethd" : "kernel_veth";
}

testing::AssertionResult pings(const std::string& netns, const std::string& arguments) {
  const Finished done = run(words("ping -c 1 -W 2 " + arguments), {.netns = netns});
  if (done.exit_code == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "ping " << arguments << " in " << netns << ":\n"
                                     << done.out << done.err;
}

}  // namespace vethd::system_test

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
    EXPECT_TRUE(wait_until(ledgers_at_rest, at_rest_, "every ledger balanced, nothing in flight"));
    EXPECT_TRUE(daemon_->stop(stopped_));
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
      if (!end->xdp_mode.empty()) names.push_back(nic_netns(*end));
    }
  }
  for (const std::string& name : names) make_netns(name);
}

void System::make_nics_for(const Topology& topology) {
  for (const Pair& pair : topology.pairs)
    for (const End* end : {&pair.a, &pair.b})
      if (!end->xdp_mode.empty()) make_nic(*end);
  for (const Pair& pair : topology.pairs)
    for (const End* end : {&pair.a, &pair.b})
      if (!end->xdp_mode.empty()) expect_nic_up(*end);
}

void System::start(const Topology& topology) {
  if (!topology.create_netns) {
    make_netns_for(topology);
    make_nics_for(topology);
  }
  start_with(to_toml(topology));
}

void OnAWire::connect(const Topology& topology) {
  if (on_vethd()) {
    Topology ours = topology;
    for (Pair& pair : ours.pairs) {
      const char* const mode = wire_ == Wire::xdp_generic ? "generic" : "copy";
      if (a_is_xdp()) pair.a.xdp_mode = mode;
      if (b_is_xdp()) pair.b.xdp_mode = mode;
    }
    return start(ours);
  }
  make_netns_for(topology);
  make_kernel_veth(topology);
}

void OnAWire::expect_no_drops(const std::string& pair) {
  if (!on_vethd()) return;
  EXPECT_EQ(drops_in(ledger(pair, "a_to_b")), "");
  EXPECT_EQ(drops_in(ledger(pair, "b_to_a")), "");
}

std::uint64_t OnAWire::lost_outside(const Pair& pair, const std::string& direction) {
  const bool there = direction == "a_to_b";
  const End& from = there ? pair.a : pair.b;
  const End& to = there ? pair.b : pair.a;
  std::uint64_t lost = 0;
  const boost::json::object counted = ledger(pair.name, direction);
  for (const char* row : {"tap_ring_dropped", "xsk_rx_dropped", "xsk_rx_ring_full"})
    lost += number(counted, row);
  if (there ? a_is_xdp() : b_is_xdp()) lost += link_of(from.netns, from.ifname).tx_dropped;
  if (there ? b_is_xdp() : a_is_xdp()) lost += link_of(nic_netns(to), nic_ifname(to)).tx_dropped;
  return lost;
}

void OnAWire::expect_untouched(const Pair& pair) {
  EXPECT_TRUE(!a_is_xdp() || is_untouched(pair.a));
  EXPECT_TRUE(!b_is_xdp() || is_untouched(pair.b));
}

std::uint64_t OnAWire::volume(std::uint64_t bytes) const {
  // Frames of one MTU, each copied by the kernel on its way in and out.
  constexpr std::uint64_t kSlower = 16;
  return on_xdp() ? bytes / kSlower : bytes;
}

std::string name_of(Wire wire) {
  switch (wire) {
    case Wire::kernel_veth:
      return "kernel_veth";
    case Wire::vethd:
      return "vethd";
    case Wire::tap_xdp_copy:
      return "tap_xdp_copy";
    case Wire::xdp_tap_copy:
      return "xdp_tap_copy";
    case Wire::xdp_copy:
      return "xdp_copy";
    case Wire::xdp_generic:
      return "xdp_generic";
  }
  return {};
}

testing::AssertionResult pings(const std::string& netns, const std::string& arguments) {
  const Finished done = run(words("ping -c 1 -W 2 " + arguments), {.netns = netns});
  if (done.exit_code == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "ping " << arguments << " in " << netns << ":\n"
                                     << done.out << done.err;
}

}  // namespace vethd::system_test

#include "daemon/netns/link_monitor.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "daemon/netns/links.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

using Kind = LinkEvent::Kind;

class LinkMonitorTest : public PlatformTest {};

TEST_F(LinkMonitorTest, SeesWhatHappensToALinkFromBirthToRemoval) {
  const Netns ns = make_netns("red");
  LinkMonitor monitor = must(LinkMonitor::open(ns));
  const Tap tap = make_tap(ns, "vm0");
  const auto changed = [&](const LinkEvent& e) {
    return e.kind == Kind::changed && e.link.ifindex == tap.ifindex;
  };
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && e.link.name == "vm0"; });

  Links links = must(Links::open(ns));
  must(links.configure(tap.ifindex, {.up = true}));
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && e.link.up && e.link.carrier; });
  must(links.configure(tap.ifindex, {.mtu = 1400}));
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && e.link.mtu == 1400; });
  const MacAddress mac{{2, 0, 0, 0, 0, 9}};
  must(links.configure(tap.ifindex, {.mac = mac}));
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && e.link.mac == mac; });
  must(links.configure(tap.ifindex, {.up = false}));
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && !e.link.up; });
  must(links.configure(tap.ifindex, {.name = "veth0"}));
  wait_for(monitor, [&](const LinkEvent& e) { return changed(e) && e.link.name == "veth0"; });
  must(links.remove(tap.ifindex));
  wait_for(monitor, [&](const LinkEvent& e) {
    return e.kind == Kind::removed && e.link.ifindex == tap.ifindex;
  });
}

TEST_F(LinkMonitorTest, SeesThatAFeatureWasSet) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  Links links = must(Links::open(ns));
  for (const Features wanted :
       {Features{}, Features{.gro = true}, Features{.rx_udp_gro_forwarding = true}}) {
    LinkMonitor monitor = must(LinkMonitor::open(ns));  // from here on, not before
    must(links.set_features("vm0", wanted));
    wait_for(monitor, [&](const LinkEvent& e) {
      return e.kind == Kind::changed && e.link.ifindex == tap.ifindex;
    });
    EXPECT_EQ(must(links.features("vm0")), wanted);
  }
}

TEST_F(LinkMonitorTest, SeesALinkThatMovesAsRemovedHereAndNewThere) {
  const Netns red = make_netns("red");
  const Netns blue = make_netns("blue");
  const Tap tap = make_tap(red, "vm0");
  LinkMonitor here = must(LinkMonitor::open(red));
  LinkMonitor there = must(LinkMonitor::open(blue));
  move_link(red, tap.ifindex, blue);
  wait_for(here, [&](const LinkEvent& e) {
    return e.kind == Kind::removed && e.link.ifindex == tap.ifindex;
  });
  wait_for(there,
           [](const LinkEvent& e) { return e.kind == Kind::changed && e.link.name == "vm0"; });
}

TEST_F(LinkMonitorTest, DoesNotTakeALinkThatLeavesABridgeForRemoved) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  const int bridge = make_bridge(ns, "br0");
  LinkMonitor monitor = must(LinkMonitor::open(ns));
  set_master(ns, tap.ifindex, bridge);
  set_master(ns, tap.ifindex, 0);
  must(must(Links::open(ns)).configure(tap.ifindex, {.name = "last"}));
  const std::vector<LinkEvent> events =
      wait_for(monitor, [](const LinkEvent& e) { return e.link.name == "last"; });
  EXPECT_TRUE(
      std::ranges::none_of(events, [](const LinkEvent& e) { return e.kind != Kind::changed; }));
}

TEST_F(LinkMonitorTest, SaysThatEventsWereLost) {
  constexpr std::uint32_t kChanges = 2000;
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  LinkMonitor monitor = must(LinkMonitor::open(ns));
  Links links = must(Links::open(ns));
  for (std::uint32_t i = 0; i < kChanges; ++i) {
    must(links.configure(tap.ifindex, {.mtu = 1000 + i % 2}));
  }
  wait_for(monitor, [](const LinkEvent& e) { return e.kind == Kind::overrun; });
  // And goes on: what happens after the owner has caught up is reported.
  while (must(monitor.read([](const LinkEvent&) {}))) {
  }
  must(links.configure(tap.ifindex, {.mtu = 1400}));
  wait_for(monitor, [](const LinkEvent& e) { return e.link.mtu == 1400; });
}

TEST_F(LinkMonitorTest, ReadsABoundedNumberOfMessagesAndSaysThatMoreWait) {
  const Netns ns = make_netns("red");
  const Tap tap = make_tap(ns, "vm0");
  LinkMonitor monitor = must(LinkMonitor::open(ns));
  EXPECT_FALSE(must(monitor.read([](const LinkEvent&) { FAIL() << "nothing has happened"; })));
  Links links = must(Links::open(ns));
  for (int i = 0; i <= LinkMonitor::kMessagesPerRead; ++i) {
    must(links.configure(tap.ifindex, {.mtu = 1000U + static_cast<std::uint32_t>(i % 2)}));
  }
  int first = 0;
  EXPECT_TRUE(must(monitor.read([&](const LinkEvent&) { ++first; })));
  EXPECT_EQ(first, LinkMonitor::kMessagesPerRead);
  int rest = 0;
  EXPECT_FALSE(must(monitor.read([&](const LinkEvent&) { ++rest; })));
  EXPECT_GE(rest, 1);
}

}  // namespace
}  // namespace vethd::test

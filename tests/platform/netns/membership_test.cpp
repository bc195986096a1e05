#include "daemon/netns/membership.hpp"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <cerrno>

#include "daemon/netns/links.hpp"
#include "daemon/netns/route_socket.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

constexpr MacAddress kMac{{0x02, 0, 0, 0, 0, 0x07}};

/// How many want every frame, and every group's, of a device. The flags of a device do not show
/// what packet sockets ask for.
struct Wanted {
  std::uint32_t promiscuous = 0;
  std::uint32_t all_multicast = 0;
  friend bool operator==(const Wanted&, const Wanted&) = default;
};

Wanted wanted(const Netns& ns, int ifindex) {
  const RouteSocket socket = must(open_route_socket(ns, 0));
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = ifindex;
  Wanted found;
  ::nl_socket_modify_cb(
      socket.get(), NL_CB_VALID, NL_CB_CUSTOM,
      [](nl_msg* message, void* to) -> int {
        const nlmsghdr* head = ::nlmsg_hdr(message);
        auto& result = *static_cast<Wanted*>(to);
        if (const nlattr* count =
                ::nlmsg_find_attr(const_cast<nlmsghdr*>(head), sizeof(ifinfomsg), IFLA_PROMISCUITY))
          result.promiscuous = ::nla_get_u32(count);
        if (const nlattr* count =
                ::nlmsg_find_attr(const_cast<nlmsghdr*>(head), sizeof(ifinfomsg), IFLA_ALLMULTI))
          result.all_multicast = ::nla_get_u32(count);
        return NL_OK;
      },
      &found);
  if (::nl_send_simple(socket.get(), RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, &header,
                       sizeof header) < 0 ||
      ::nl_recvmsgs_default(socket.get()) < 0)
    throw std::runtime_error("cannot ask for a device");
  return found;
}

class Membership : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    red_ = make_netns("red");
    tap_ = make_tap(*red_, "vm0");
    must(must(Links::open(*red_)).configure(tap_->ifindex, {.up = true}));
    before_ = now();
  }
  [[nodiscard]] Wanted now() const { return wanted(*red_, tap_->ifindex); }
  [[nodiscard]] DeviceMembership open() const {
    return must(DeviceMembership::open(*red_, tap_->ifindex));
  }

  std::optional<Netns> red_;
  std::optional<Tap> tap_;
  Wanted before_;
};

TEST_F(Membership, MakesADevicePromiscuousAndEndsWithItsObject) {
  {
    DeviceMembership membership = open();
    must(membership.add_promiscuous());
    EXPECT_EQ(now().promiscuous, before_.promiscuous + 1);
  }
  EXPECT_EQ(now(), before_);
}

TEST_F(Membership, TakesEveryGroupAndEndsWithItsObject) {
  {
    DeviceMembership membership = open();
    must(membership.add_all_multicast());
    EXPECT_EQ(now().all_multicast, before_.all_multicast + 1);
  }
  EXPECT_EQ(now(), before_);
}

// A TAP has no filter for further addresses, so the kernel makes it promiscuous for the first.
TEST_F(Membership, AddsAnAddressAndEndsWithItsObject) {
  {
    DeviceMembership membership = open();
    must(membership.add_unicast(kMac));
    EXPECT_EQ(now().promiscuous, before_.promiscuous + 1);
    must(open().add_unicast(kMac));  // has it, too, and gives it up
    EXPECT_EQ(now().promiscuous, before_.promiscuous + 1);
  }
  EXPECT_EQ(now(), before_);
}

TEST_F(Membership, CountsEachOfSeveral) {
  DeviceMembership first = open();
  must(first.add_promiscuous());
  {
    DeviceMembership second = open();
    must(second.add_promiscuous());
    must(second.add_all_multicast());
    EXPECT_EQ(now().promiscuous, before_.promiscuous + 2);
  }
  EXPECT_EQ(now().promiscuous, before_.promiscuous + 1);
  EXPECT_EQ(now().all_multicast, before_.all_multicast);
}

TEST_F(Membership, EndsWhenItsProcessIsKilled) {
  Child child([this] {
    static DeviceMembership membership = open();
    must(membership.add_promiscuous());
    must(membership.add_unicast(kMac));
    must(membership.add_all_multicast());
  });
  EXPECT_NE(now(), before_);
  child.kill();
  EXPECT_EQ(now(), before_);
}

TEST_F(Membership, EndsWhenTheDeviceMovesToAnotherNamespace) {
  DeviceMembership membership = open();
  must(membership.add_promiscuous());
  const Netns blue = make_netns("blue");
  move_link(*red_, tap_->ifindex, blue);
  const int ifindex = must(must(Links::open(blue)).find("vm0")).ifindex;
  EXPECT_EQ(wanted(blue, ifindex), before_);
}

TEST_F(Membership, IsRefusedWhereThereIsNoSuchDevice) {
  const auto refused = DeviceMembership::open(*red_, 4711);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "receive more on red/#4711: No such device or address");
}

TEST_F(Membership, SaysWhenTheDeviceHasGone) {
  DeviceMembership membership = open();
  must(must(Links::open(*red_)).remove(tap_->ifindex));
  const auto refused = membership.add_unicast(kMac);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENODEV);
  EXPECT_EQ(refused.error().doing, "receive frames to 02:00:00:00:00:07 on red/vm0");
}

}  // namespace
}  // namespace vethd::test

#include "xdp/bind_hint.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace vethd {
namespace {

struct Case {
  const char* name;
  int code;
  BindFacts facts;
  const char* hint;  // part of what must be said
};

constexpr XskMode kZerocopy = XskMode::zerocopy;
constexpr XskMode kCopy = XskMode::copy;

// The errno of zero-copy refused were seen on these drivers.
const Case kCases[] = {
    {"an old driver", EOPNOTSUPP, {.mode = kZerocopy, .driver = "veth"}, "veth has no zero-copy"},
    {"virtio_net of 6.12", EOPNOTSUPP, {.mode = kZerocopy, .driver = "virtio_net"}, "6.12 is too"},
    {"igb of 6.12", EOPNOTSUPP, {.mode = kZerocopy, .driver = "igb"}, "since Linux 6.14"},
    {"multi-buffer",
     EOPNOTSUPP,
     {.mode = kZerocopy, .multi_buffer = true, .mtu = 9000, .driver = "virtio_net"},
     "in several descriptors, which its mtu 9000 makes: lower it"},
    {"no DMA API", EINVAL, {.mode = kZerocopy, .driver = "virtio_net"}, "iommu_platform=on"},
    {"no queue reset", ENOENT, {.mode = kZerocopy, .driver = "virtio_net"}, "queue_reset=on"},
    {"a long mtu", EINVAL, {.mode = kZerocopy, .mtu = 9000, .driver = "igb"}, "9000 is more"},
    {"the longest mtu", EINVAL, {.mode = kZerocopy, .mtu = 3822, .driver = "igb"}, "igb refuses"},
    {"beyond it", EINVAL, {.mode = kZerocopy, .mtu = 3823, .driver = "igb"}, "3823 is more"},
    {"a long mtu in fragments",
     EINVAL,
     {.mode = kZerocopy, .multi_buffer = true, .mtu = 9000, .driver = "igb"},
     "igb refuses"},
    {"down", EINVAL, {.mode = kZerocopy, .up = false, .driver = "igb"}, "bring the device up"},
    {"no such queue",
     EINVAL,
     {.mode = kZerocopy, .queue = 2, .queues = 2, .queue_command = "ethtool -L eth0 combined 3"},
     "it has queues 0 to 1; more with: ethtool -L eth0 combined 3"},
    {"the only queue", EINVAL, {.mode = kCopy, .queue = 1, .queues = 1}, "it has queue 0 only"},
    {"queues unknown", EINVAL, {.mode = kCopy, .queue = 1}, "no such queue"},
    {"multi-buffer before 6.6", EINVAL, {.mode = kCopy, .multi_buffer = true}, "Linux 6.6"},
    {"taken", EBUSY, {.mode = kCopy}, "ss --xdp"},
    {"locked memory", ENOBUFS, {.mode = kCopy}, "LimitMEMLOCK"},
    {"no AF_XDP", EAFNOSUPPORT, {.mode = kCopy}, "CONFIG_XDP_SOCKETS"},
};

TEST(BindHint, NamesTheProbableCauseAndTheRemedy) {
  for (const Case& test : kCases) {
    const std::string hint = bind_hint(test.code, test.facts);
    EXPECT_NE(hint.find(test.hint), std::string::npos) << test.name << ": " << hint;
  }
}

TEST(BindHint, OffersCopyOnlyWhereZeroCopyWasAskedFor) {
  for (const Case& test : kCases) {
    if (test.facts.mode == kCopy) {
      EXPECT_EQ(bind_hint(test.code, test.facts).find("copy"), std::string::npos) << test.name;
    }
  }
}

TEST(BindHint, SaysNothingWhenItKnowsNothing) { EXPECT_EQ(bind_hint(EIO, {}), ""); }

}  // namespace
}  // namespace vethd

// The device of a TAP end, as others in its namespace find it.
#include "drivers/tap/tap.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "drivers/tap/vnet.hpp"
#include "tests/platform/netns/support.hpp"

namespace vethd::test {
namespace {

constexpr uid_t kNobody = 65534;
constexpr int kFailed = 255;  // exit status: no errno is as high

class TapTest : public PlatformTest {};

/// What a process of the namespace, once it has become somebody, gets for attaching to the device:
/// an errno, 0 if it may.
int attach(const Netns& ns, const std::string& ifname, unsigned queues,
           const std::function<bool()>& become) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto file = ns.file();
    if (!file || ::setns(file->get(), CLONE_NEWNET) < 0) ::_exit(kFailed);
    // Whom the node lets in is the host's choice; what counts is who attaches.
    const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0 || !become()) ::_exit(kFailed);
    ifreq request{};
    ifname.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags =
        static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
    ::_exit(::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno);
  }
  return WEXITSTATUS(wait_for_exit(child));
}

bool become_nobody() { return ::setresuid(kNobody, kNobody, kNobody) == 0; }

bool become_root_without_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  return ::syscall(SYS_capset, &header, none) == 0;
}

bool become_root_of_own_user_namespace() {
  // With all capabilities, there. A host that makes none leaves him a nobody.
  return become_nobody() && (::unshare(CLONE_NEWUSER) == 0 || errno == EPERM || errno == ENOSPC);
}

TEST_F(TapTest, IsOnlyForWhoeverAdministersItsNamespace) {
  const Netns ns = make_netns("red");
  for (const unsigned queues : {1U, 4U}) {
    const std::string name = "tap" + std::to_string(queues);
    const auto tap = must(vethd::Tap::create(ns, name, queues));
    EXPECT_EQ(attach(ns, name, queues, become_nobody), EPERM);
    EXPECT_EQ(attach(ns, name, queues, become_root_without_capabilities), EPERM);
    EXPECT_EQ(attach(ns, name, queues, become_root_of_own_user_namespace), EPERM);
    // The device lets further queues in: it was not the number of queues that kept those out.
    EXPECT_EQ(attach(ns, name, queues, [] { return true; }), queues > 1 ? 0 : EBUSY);
  }
}

TEST_F(TapTest, OffersWhatItsCallerWants) {
  const Netns ns = make_netns("red");
  const auto has = [](const vethd::Tap& tap, const std::string& offload) {
    return std::ranges::count(tap.offloads(), offload) != 0;
  };
  auto all = must(vethd::Tap::create(ns, "tap0", 1));
  const bool udp = has(all, "uso4");
  const bool tunnels = has(all, "udp_tunnel");  // from Linux 6.17 on
  EXPECT_EQ(has(all, "udp_tunnel_csum"), tunnels);
  EXPECT_EQ(has(all, "uso6"), udp);
  EXPECT_EQ(all.vnet_bytes(), tunnels ? kVnetTunnelBytes : kVnetBytes);

  auto plain = must(vethd::Tap::create(ns, "tap1", 1, {.udp = false, .udp_tunnel = false}));
  EXPECT_EQ(plain.offloads(), (std::vector<std::string>{"csum", "tso4", "tso6", "tso_ecn"}));
  EXPECT_EQ(plain.vnet_bytes(), all.vnet_bytes())
      << "such frames may be written to it all the same";
  EXPECT_EQ(plain.takes_udp_super_frames(), udp);
  must(plain.set_segmentation(false));
  EXPECT_EQ(plain.offloads(), std::vector<std::string>{"csum"});
  must(plain.set_segmentation(true));
  EXPECT_FALSE(has(plain, "uso4"));
}

}  // namespace
}  // namespace vethd::test

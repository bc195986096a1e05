#include "daemon/netns/membership.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vethd {

Result<DeviceMembership> DeviceMembership::open(const Netns& ns, int ifindex) {
  return in_netns(ns, [&]() -> Result<DeviceMembership> {
    std::array<char, IF_NAMESIZE> name{};
    std::string device = ns.label() + "/";
    if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) == nullptr)
      return fail("receive more on " + device + "#" + std::to_string(ifindex));
    device += name.data();
    // Protocol 0: the socket itself receives nothing.
    Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) {
      const int code = errno;
      return fail("receive more on " + device, code == EPERM ? "needs CAP_NET_RAW" : "", code);
    }
    return DeviceMembership(std::move(socket), ifindex, std::move(device));
  });
}

Result<void> DeviceMembership::add(unsigned short type, const MacAddress& mac,
                                   const std::string& doing) {
  packet_mreq request{};
  request.mr_ifindex = ifindex_;
  request.mr_type = type;
  request.mr_alen = static_cast<unsigned short>(mac.bytes.size());
  std::ranges::copy(mac.bytes, request.mr_address);
  if (::setsockopt(socket_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) == 0)
    return {};
  return fail(doing + device_);
}

Result<void> DeviceMembership::add_promiscuous() {
  return add(PACKET_MR_PROMISC, {}, "receive every frame on ");
}

Result<void> DeviceMembership::add_unicast(const MacAddress& mac) {
  return add(PACKET_MR_UNICAST, mac, "receive frames to " + mac.text() + " on ");
}

Result<void> DeviceMembership::add_all_multicast() {
  return add(PACKET_MR_ALLMULTI, {}, "receive frames to any group on ");
}

}  // namespace vethd

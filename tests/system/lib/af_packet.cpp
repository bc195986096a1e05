#include "tests/system/lib/af_packet.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace vethd::system_test {

Fd open_packet_socket(const std::string& ifname, int receive_buffer_bytes, InFront in_front) {
  // Protocol 0 until bind: nothing of another device gets in.
  Fd socket{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
  const unsigned ifindex = ::if_nametoindex(ifname.c_str());
  const sockaddr_ll where{.sll_family = AF_PACKET,
                          .sll_protocol = htons(ETH_P_ALL),
                          .sll_ifindex = static_cast<int>(ifindex),
                          .sll_hatype = 0,
                          .sll_pkttype = 0,
                          .sll_halen = 0,
                          .sll_addr = {}};
  const int on = 1;
  const int vnet = in_front == InFront::vnet_header ? 1 : 0;
  const bool ready =
      socket.is_open() && ifindex != 0 &&
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0 &&
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &vnet, sizeof vnet) == 0 &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes,
                   sizeof receive_buffer_bytes) == 0 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
  if (!ready) throw std::system_error(errno, std::generic_category(), "packet socket on " + ifname);
  return socket;
}

std::uint32_t take_auxdata(msghdr& message, std::vector<std::uint8_t>& frame) {
  constexpr std::size_t kAddresses = 12;  // two MAC addresses
  constexpr std::size_t kTag = 4;         // 802.1Q
  const cmsghdr* const c = CMSG_FIRSTHDR(&message);
  if (c == nullptr || c->cmsg_type != PACKET_AUXDATA) return 0;
  tpacket_auxdata aux{};
  std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
  if ((aux.tp_status & TP_STATUS_VLAN_VALID) != 0) {
    const std::array<std::uint16_t, 2> tag = {htons(aux.tp_vlan_tpid), htons(aux.tp_vlan_tci)};
    std::array<std::uint8_t, kTag> bytes{};
    std::memcpy(bytes.data(), tag.data(), kTag);
    frame.insert(frame.begin() + kAddresses, bytes.begin(), bytes.end());
  }
  return aux.tp_status;
}

}  // namespace vethd::system_test

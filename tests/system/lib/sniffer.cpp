#include "tests/system/lib/sniffer.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace {

constexpr std::size_t kAddresses = 12;
constexpr std::size_t kTag = 4;
constexpr std::size_t kLargestFrame = 65535 + ETH_HLEN + kTag;
constexpr int kMostFrames = 10000;  // of one case

Fd open_sniffer(const std::string& ifname) {
  Fd socket{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const unsigned ifindex = ::if_nametoindex(ifname.c_str());
  const sockaddr_ll where{.sll_family = AF_PACKET,
                          .sll_protocol = htons(ETH_P_ALL),
                          .sll_ifindex = static_cast<int>(ifindex),
                          .sll_hatype = 0,
                          .sll_pkttype = 0,
                          .sll_halen = 0,
                          .sll_addr = {}};
  const int on = 1;
  const int buffer_bytes = 32 << 20;
  const bool ready =
      socket.is_open() && ifindex != 0 &&
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0 &&
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) == 0 &&
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) ==
          0 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
  if (!ready) throw std::system_error(errno, std::generic_category(), "sniffer on " + ifname);
  return socket;
}

void put_tag_back(Captured& frame, const tpacket_auxdata& aux) {
  if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) return;
  const std::array<std::uint16_t, 2> tag = {htons(aux.tp_vlan_tpid), htons(aux.tp_vlan_tci)};
  std::array<std::uint8_t, kTag> bytes{};
  std::memcpy(bytes.data(), tag.data(), kTag);
  frame.bytes.insert(frame.bytes.begin() + kAddresses, bytes.begin(), bytes.end());
}

}  // namespace

Sniffer::Sniffer(const std::string& netns, const std::string& ifname)
    : socket_(inside(netns, [&] { return open_sniffer(ifname); })) {}

void Sniffer::read() {
  for (int i = 0; i < kMostFrames; ++i) {
    Captured frame;
    frame.bytes.resize(kLargestFrame);
    sockaddr_ll from{};
    std::array<iovec, 2> data{{{.iov_base = &frame.vnet, .iov_len = sizeof frame.vnet},
                               {.iov_base = frame.bytes.data(), .iov_len = frame.bytes.size()}}};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
    msghdr message{.msg_name = &from,
                   .msg_namelen = sizeof from,
                   .msg_iov = data.data(),
                   .msg_iovlen = data.size(),
                   .msg_control = control.data(),
                   .msg_controllen = control.size(),
                   .msg_flags = 0};
    const ssize_t n = ::recvmsg(socket_.get(), &message, 0);
    if (n < 0 && errno == ENETDOWN) continue;  // said once when the device goes down
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) throw std::system_error(errno, std::generic_category(), "read a captured frame");
    if (from.sll_pkttype == PACKET_OUTGOING) {
      ++sent_;
      continue;
    }
    frame.bytes.resize(static_cast<std::size_t>(n) - sizeof frame.vnet);
    frame.pkttype = from.sll_pkttype;
    frame.protocol = ntohs(from.sll_protocol);
    if (const cmsghdr* c = CMSG_FIRSTHDR(&message);
        c != nullptr && c->cmsg_type == PACKET_AUXDATA) {
      tpacket_auxdata aux{};
      std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
      frame.status = aux.tp_status;
      put_tag_back(frame, aux);
    }
    received_.push_back(std::move(frame));
  }
  throw std::runtime_error("more frames than a case can mean");
}

}  // namespace vethd::system_test

#include "tests/system/lib/sniffer.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "tests/system/lib/af_packet.hpp"
#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace {

constexpr int kMostFrames = 10000;  // of one case
constexpr int kReceiveBufferBytes = 32 << 20;

}  // namespace

Sniffer::Sniffer(const std::string& netns, const std::string& ifname)
    : socket_(inside(netns, [&] {
        return open_packet_socket(ifname, kReceiveBufferBytes, InFront::vnet_header);
      })) {}

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
    const ssize_t n = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
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
    frame.status = take_auxdata(message, frame.bytes);
    received_.push_back(std::move(frame));
  }
  throw std::runtime_error("more frames than a case can mean");
}

}  // namespace vethd::system_test

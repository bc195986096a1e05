#include "tests/system/lib/packet.hpp"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "tests/system/lib/af_packet.hpp"
#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

namespace {

constexpr std::size_t kAddresses = 12;       // two MAC addresses
constexpr std::size_t kTag = 4;              // 802.1Q
constexpr std::uint16_t kTestType = 0x88b5;  // IEEE 802: local experimental EtherType 1
constexpr int kReceiveBufferBytes = 8 << 20;

std::uint16_t be16(const Frame& frame, std::size_t at) {
  return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
}

/// Where the payload of a test frame begins; nothing when it is not one.
std::optional<std::size_t> payload_of(const Frame& frame) {
  std::size_t type_at = kAddresses;
  for (const int tag : {ETH_P_8021AD, ETH_P_8021Q})
    if (frame.size() >= type_at + kTag + 2 && be16(frame, type_at) == tag) type_at += kTag;
  if (frame.size() < type_at + 2 || be16(frame, type_at) != kTestType) return std::nullopt;
  return type_at + 2;
}

}  // namespace

Frame test_frame(std::size_t frame_bytes, std::uint32_t seed, std::optional<std::uint16_t> vlan,
                 std::optional<std::uint16_t> service_vlan) {
  Frame frame(frame_bytes);
  std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
  frame[6] = 0x02;  // locally administered
  std::size_t at = kAddresses;
  const auto put = [&](std::uint16_t value) {
    frame[at++] = static_cast<std::uint8_t>(value >> 8);
    frame[at++] = static_cast<std::uint8_t>(value);
  };
  if (service_vlan) {
    put(ETH_P_8021AD);
    put(*service_vlan);
  }
  if (vlan) {
    put(ETH_P_8021Q);
    put(*vlan);
  }
  put(kTestType);
  if (at + sizeof seed <= frame.size()) {
    std::memcpy(frame.data() + at, &seed, sizeof seed);
    at += sizeof seed;
  }
  for (std::uint32_t value = seed; at < frame.size(); ++at) {
    value = value * 1664525 + 1013904223;  // any full-period generator will do
    frame[at] = static_cast<std::uint8_t>(value >> 24);
  }
  return frame;
}

std::optional<std::uint32_t> seed_of(const Frame& frame) {
  const std::optional<std::size_t> at = payload_of(frame);
  std::uint32_t seed = 0;
  if (!at || *at + sizeof seed > frame.size()) return std::nullopt;
  std::memcpy(&seed, frame.data() + *at, sizeof seed);
  return seed;
}

PacketSocket::PacketSocket(const std::string& netns, const std::string& ifname)
    : socket_(inside(netns, [&] {
        return open_packet_socket(ifname, kReceiveBufferBytes, InFront::nothing);
      })) {}

Result<void> PacketSocket::send(std::span<const std::uint8_t> frame) const {
  if (::send(socket_.get(), frame.data(), frame.size(), 0) < 0) return fail("send a raw frame");
  return {};
}

std::optional<Frame> PacketSocket::receive(milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {  // ends at the deadline
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, static_cast<int>(std::max(left, 0ms).count())) != 1)
      return std::nullopt;

    Frame frame(kLargestFrame);
    sockaddr_ll from{};
    iovec data{.iov_base = frame.data(), .iov_len = frame.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control{};
    msghdr message{.msg_name = &from,
                   .msg_namelen = sizeof from,
                   .msg_iov = &data,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size(),
                   .msg_flags = 0};
    const ssize_t n = ::recvmsg(socket_.get(), &message, 0);
    if (n < 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
    frame.resize(static_cast<std::size_t>(n));
    take_auxdata(message, frame);
    if (payload_of(frame)) return frame;
  }
}

FrameSource::FrameSource(const std::string& netns, const std::string& ifname, Pace pace)
    : socket_(netns, ifname), thread_([this, pace] { run(pace); }) {}

FrameSource::~FrameSource() {
  stop_ = true;
  thread_.join();
}

void FrameSource::run(Pace pace) {
  constexpr std::size_t kFrameBytes = 100;
  for (std::uint32_t seed = 0; !stop_; ++seed) {  // ends with its owner
    // ENOBUFS, ENETDOWN and ENXIO are what the tests put it through.
    (void)socket_.send(test_frame(kFrameBytes, seed));
    if (pace == Pace::one_per_millisecond) pause_for(1ms);
  }
}

}  // namespace vethd::system_test

#include "tests/platform/xsk/support.hpp"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "daemon/netns/links.hpp"

namespace vethd::test {
namespace {

constexpr std::uint16_t kTestType = 0x88b5;  // IEEE 802: local experimental EtherType 1
constexpr std::size_t kAddresses = 12;
constexpr std::size_t kLargest = 65536;
constexpr int kPatienceMs = static_cast<int>(std::chrono::milliseconds{kPatience}.count());
constexpr MacAddress kSource{{0x02, 0, 0, 0, 0, 0x77}};
constexpr MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

void check(bool good, const char* what) {
  if (!good) throw std::system_error(errno, std::generic_category(), what);
}

void put16(Bytes& frame, std::uint16_t value) {
  frame.push_back(static_cast<std::byte>(value >> 8));
  frame.push_back(static_cast<std::byte>(value & 0xff));
}

Bytes build(std::size_t bytes, const MacAddress& mac, const std::vector<Tag>& tags,
            std::uint32_t seed) {
  Bytes frame;
  for (const MacAddress& address : {mac, kSource})
    for (const std::uint8_t byte : address.bytes) frame.push_back(std::byte{byte});
  for (const Tag& tag : tags) {
    put16(frame, tag.protocol);
    put16(frame, tag.tci);
  }
  put16(frame, kTestType);
  for (std::uint32_t value = seed; frame.size() < bytes;) {
    value = value * 1664525 + 1013904223;  // any full-period generator will do
    frame.push_back(static_cast<std::byte>(value >> 24));
  }
  return frame;
}

/// Looks now and then until it is so; the ring is memory, which nobody announces.
template <class Condition>
void wait_until(const Xsk& xsk, short events, Condition&& holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("the ring stays empty");
    pollfd ready{.fd = xsk.fd(), .events = events, .revents = 0};
    ::poll(&ready, 1, 1);
  }
}

}  // namespace

Bytes frame_of(std::size_t bytes, std::uint32_t seed) { return build(bytes, kBroadcast, {}, seed); }

Bytes frame_to(const MacAddress& mac, const std::vector<Tag>& tags, std::uint32_t seed) {
  return build(ETH_ZLEN, mac, tags, seed);
}

Netns make_silent_netns(const std::string& label) {
  Netns ns = make_netns(label);
  must(in_netns(ns, []() -> Result<void> {
    const Fd knob(::open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC));
    if (knob.is_open() && ::write(knob.get(), "1", 1) != 1) return fail("turn IPv6 off");
    return {};
  }));
  return ns;
}

VethEnds make_wire(const Netns& a_ns, const std::string& a, const Netns& b_ns, const std::string& b,
                   std::uint32_t mtu, std::uint32_t queues) {
  make_veth(a_ns, a, b, {.queues = queues});
  Links a_links = must(Links::open(a_ns));
  Links b_links = must(Links::open(b_ns));
  VethEnds ends{.a = must(a_links.find(a)).ifindex, .b = must(a_links.find(b)).ifindex};
  if (a_ns.id() != b_ns.id()) move_link(a_ns, ends.b, b_ns);
  ends.b = must(b_links.find(b)).ifindex;
  must(a_links.configure(ends.a, {.up = true, .mtu = mtu}));
  must(b_links.configure(ends.b, {.up = true, .mtu = mtu}));
  return ends;
}

PacketSocket::PacketSocket(const Netns& ns, int ifindex)
    : socket_(must(in_netns(ns, [&]() -> Result<Fd> {
        Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!socket.is_open()) return fail("open a packet socket");
        const int on = 1;
        ::setsockopt(socket.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
        ::setsockopt(socket.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = __builtin_bswap16(ETH_P_ALL);
        address.sll_ifindex = ifindex;
        if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
          return fail("bind a packet socket");
        return socket;
      }))) {}

void PacketSocket::send(const Bytes& frame) const {
  check(::send(socket_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()),
        "send a frame");
}

std::optional<Bytes> PacketSocket::take() const {
  Bytes frame(kLargest);
  iovec bytes{.iov_base = frame.data(), .iov_len = frame.size()};
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
  if (length < 0 && errno == EAGAIN) return std::nullopt;
  check(length >= 0, "receive a frame");
  frame.resize(static_cast<std::size_t>(length));
  // The stack takes the outer tag out; it belongs to the frame.
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux{};
    std::copy_n(reinterpret_cast<const std::byte*>(CMSG_DATA(part)), sizeof aux,
                reinterpret_cast<std::byte*>(&aux));
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
    Bytes tag;
    put16(tag, aux.tp_vlan_tpid);
    put16(tag, aux.tp_vlan_tci);
    frame.insert(frame.begin() + kAddresses, tag.begin(), tag.end());
  }
  return frame;
}

Bytes PacketSocket::receive() const {
  pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, kPatienceMs) != 1) throw std::runtime_error("no frame comes");
  return take().value();
}

Chunks::Chunks(std::size_t count)
    : bytes_(count * kChunkBytes),
      base_(static_cast<std::byte*>(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
            Unmap{bytes_}) {
  check(base_.get() != MAP_FAILED, "map frame memory");
}

void Chunks::Unmap::operator()(std::byte* base) const { ::munmap(base, bytes); }

std::vector<Received> receive(Xsk& xsk, std::size_t count) {
  std::vector<Received> received;
  wait_until(xsk, POLLIN, [&] {
    xsk.receive(count - received.size(), [&](FrameAddr addr, std::uint32_t len, bool continues) {
      received.push_back({.addr = addr, .len = len, .continues = continues});
    });
    return received.size() >= count;
  });
  return received;
}

std::vector<FrameAddr> complete(Xsk& xsk, std::size_t count) {
  std::vector<FrameAddr> completed;
  wait_until(xsk, 0, [&] {
    xsk.complete(count - completed.size(), [&](FrameAddr addr) { completed.push_back(addr); });
    return completed.size() >= count;
  });
  return completed;
}

void fill(Xsk& xsk, std::span<const FrameAddr> chunks) {
  if (xsk.fill_room() < chunks.size()) throw std::runtime_error("the fill ring is full");
  for (const FrameAddr chunk : chunks) xsk.fill(chunk);
  xsk.publish_fill();
}

void fill(Xsk& xsk, std::size_t first, std::size_t count) {
  std::vector<FrameAddr> chunks;
  for (std::size_t i = 0; i < count; ++i) chunks.push_back(Chunks::chunk(first + i));
  fill(xsk, chunks);
}

int kick(const Xsk& xsk) {
  return ::sendto(xsk.fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0;
}

void flush(Xsk& xsk) {
  xsk.publish_send();
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (int error = kick(xsk); error != 0; error = kick(xsk)) {
    if (error != EAGAIN || std::chrono::steady_clock::now() > end)
      throw std::system_error(error, std::generic_category(), "kick");
  }
}

}  // namespace vethd::test

#include "tests/system/lib/sockets.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "tests/system/lib/netns.hpp"

namespace vethd::system_test {

Address parse_address(const std::string& text) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    address.storage.ss_family = AF_INET;
    address.bytes = sizeof *v4;
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    address.storage.ss_family = AF_INET6;
    address.bytes = sizeof *v6;
  } else {
    throw std::invalid_argument("not an address: " + text);
  }
  return address;
}

Fd open_socket(const std::string& netns, int family, int type) {
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  Fd fd{inside(netns, [&] { return ::socket(family, type | SOCK_CLOEXEC, 0); })};
  const bool ready = fd.is_open() &&
                     ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                     ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
  if (!ready) throw std::system_error(errno, std::generic_category(), "socket in " + netns);
  return fd;
}

Result<Address> bind_to(const Fd& socket, Address address) {
  if (::bind(socket.get(), address.get(), address.bytes) < 0) return fail("bind");
  if (::getsockname(socket.get(), address.get(), &address.bytes) < 0) return fail("getsockname");
  return address;
}

Result<Bound> open_receiver(const std::string& netns, const Address& address) {
  Bound receiver{.socket = open_socket(netns, address.storage.ss_family, SOCK_DGRAM),
                 .address = address};
  if (::setsockopt(receiver.socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer,
                   sizeof kSocketBuffer) < 0) {
    return fail("enlarge the receive buffer");
  }
  auto bound = bind_to(receiver.socket, address);
  if (!bound) return std::unexpected(bound.error());
  receiver.address = *bound;
  return receiver;
}

Result<Fd> open_sender(const std::string& netns, const Address& to) {
  Fd sender = open_socket(netns, to.storage.ss_family, SOCK_DGRAM);
  ::setsockopt(sender.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof kSocketBuffer);
  if (::connect(sender.get(), to.get(), to.bytes) < 0) return fail("connect a UDP socket");
  return sender;
}

Result<void> introduce(const Fd& sender, const Fd& receiver) {
  char hello = 0;
  Address from;
  if (::send(sender.get(), &hello, 1, 0) != 1) return fail("send the first datagram");
  if (::recvfrom(receiver.get(), &hello, 1, 0, from.get(), &from.bytes) != 1) {
    return fail("receive the first datagram");
  }
  if (::sendto(receiver.get(), &hello, 1, 0, from.get(), from.bytes) != 1) {
    return fail("answer the first datagram");
  }
  if (::recv(sender.get(), &hello, 1, 0) != 1) return fail("receive the first answer");
  return {};
}

}  // namespace vethd::system_test

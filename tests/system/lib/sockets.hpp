// Sockets inside namespaces, with their addresses and time limits.
#pragma once

#include <sys/socket.h>

#include <mutex>
#include <string>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"

namespace vethd::system_test {

inline constexpr int kSocketBuffer = 8 << 20;  // bytes; a round of datagrams always fits

struct Address {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(sockaddr_storage);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// IPv4 or IPv6; std::invalid_argument when it is neither.
Address parse_address(const std::string& text);

/// A socket of that namespace. Every call on it ends within its time-out; but with EINTR when a
/// child stops or ends at the wrong moment, though nobody handles SIGCHLD: TEMP_FAILURE_RETRY().
Fd open_socket(const std::string& netns, int family, int type);

/// Binds to a free port and returns the address with it.
Result<Address> bind_to(const Fd& socket, Address address);

/// A bound UDP socket that holds kSocketBuffer of datagrams.
struct Bound {
  Fd socket;
  Address address;
};
Result<Bound> open_receiver(const std::string& netns, const Address& address);

/// A UDP socket connected to it, from a port of its own.
Result<Fd> open_sender(const std::string& netns, const Address& to);

/// One datagram there and back, so that both ends know their neighbour: while it is being resolved,
/// the sender's own stack may let a datagram overtake those that wait for it.
Result<void> introduce(const Fd& sender, const Fd& receiver);

/// What went wrong first, of several threads; the rest only follows from it.
class FirstFailure {
 public:
  void note(const Result<void>& done) {
    const std::scoped_lock lock(mutex_);
    if (outcome_) outcome_ = done;
  }
  Result<void> get() { return std::move(outcome_); }

 private:
  std::mutex mutex_;
  Result<void> outcome_;
};

}  // namespace vethd::system_test

// A veth between two namespaces, an AF_XDP socket on one end of it, a packet socket on the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/ids.hpp"
#include "daemon/frame/arena.hpp"
#include "tests/platform/netns/support.hpp"
#include "xdp/redirect.hpp"
#include "xdp/xsk.hpp"

namespace vethd::test {

using Bytes = std::vector<std::byte>;

/// A broadcast frame with the local experimental EtherType, which no stack answers, and a pattern
/// that depends on seed.
Bytes frame_of(std::size_t bytes, std::uint32_t seed = 0);
/// The same, to this address, with these tags in front of the EtherType.
struct Tag {
  std::uint16_t protocol;
  std::uint16_t tci;
};
Bytes frame_to(const MacAddress& mac, const std::vector<Tag>& tags, std::uint32_t seed);

/// A namespace whose stack sends nothing of its own accord (no IPv6).
Netns make_silent_netns(const std::string& label);

struct VethEnds {
  int a = 0;  // ifindex
  int b = 0;
};
/// Both up; b is moved to the other namespace.
VethEnds make_wire(const Netns& a_ns, const std::string& a, const Netns& b_ns, const std::string& b,
                   std::uint32_t mtu = 1500, std::uint32_t queues = 1);

/// What the stack of a device sees, and a way to send from it. Frames of frame_of() only.
class PacketSocket {
 public:
  PacketSocket(const Netns& ns, int ifindex);
  void send(const Bytes& frame) const;
  /// Waits; throws when none comes.
  [[nodiscard]] Bytes receive() const;
  /// What is there by now.
  [[nodiscard]] std::optional<Bytes> take() const;

 private:
  Fd socket_;
};

/// Chunks of frame memory, mapped as the arena is.
class Chunks {
 public:
  explicit Chunks(std::size_t count);
  [[nodiscard]] std::span<std::byte> memory() const { return {base_.get(), bytes_}; }
  [[nodiscard]] std::byte* at(FrameAddr addr) const { return base_.get() + addr.value; }
  [[nodiscard]] Bytes copy(FrameAddr addr, std::size_t len) const {
    return {at(addr), at(addr) + len};
  }
  static FrameAddr chunk(std::size_t index) { return {index * kChunkBytes}; }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* base) const;
  };
  std::size_t bytes_;
  std::unique_ptr<std::byte, Unmap> base_;
};

struct Received {
  FrameAddr addr;
  std::uint32_t len;
  bool continues;
};

/// Waits until so many descriptors have come; throws when they do not.
std::vector<Received> receive(Xsk& xsk, std::size_t count);
/// Waits for so many completions.
std::vector<FrameAddr> complete(Xsk& xsk, std::size_t count);
void fill(Xsk& xsk, std::span<const FrameAddr> chunks);
void fill(Xsk& xsk, std::size_t first, std::size_t count);  // chunks by number
/// A call that makes the kernel send; 0 or its errno.
int kick(const Xsk& xsk);
/// Publishes, and kicks as long as there is more to send.
void flush(Xsk& xsk);

}  // namespace vethd::test

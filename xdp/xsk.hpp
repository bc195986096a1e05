// One AF_XDP socket: one queue of one device, its four rings, its UMEM.
#pragma once

#include <linux/if_xdp.h>
#include <xdp/xsk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/core/ids.hpp"
#include "daemon/core/panic.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"
#include "xdp/compat.hpp"
#include "xdp/xsk_mode.hpp"

namespace vethd {

// What libxdp's own default is: 32 batches of 64 frames.
constexpr std::uint32_t kXskRingEntries = 2048;

struct XskSetup {
  std::string ifname;  // in the namespace given
  QueueId queue;
  XskMode mode = XskMode::copy;
  bool need_wakeup = true;    // the kernel says when it must be called (XDP_USE_NEED_WAKEUP)
  bool multi_buffer = false;  // frames may take several descriptors (XDP_USE_SG)
  std::uint32_t rx_ring = kXskRingEntries;  // entries, powers of two
  std::uint32_t tx_ring = kXskRingEntries;
  std::uint32_t fill_ring = kXskRingEntries;
  std::uint32_t completion_ring = kXskRingEntries;
  std::uint32_t busy_poll_budget = 0;  // frames a call of ours makes NAPI handle; 0: it does not
  std::uint32_t busy_poll_usecs = 0;   // how long a poll(2) spins; 0: not at all
};

/// XDP_STATISTICS, in descriptors, since the socket was bound.
struct XskStatistics {
  std::uint64_t rx_dropped = 0;                // for any reason but those below
  std::uint64_t rx_invalid_descs = 0;          // addresses in the fill ring
  std::uint64_t tx_invalid_descs = 0;          // in the tx ring
  std::uint64_t rx_ring_full = 0;              // frames without a place in the rx ring
  std::uint64_t rx_fill_ring_empty_descs = 0;  // times a chunk was wanted, and none there
  std::uint64_t tx_ring_empty_descs = 0;       // times the tx ring was looked into for nothing

  XskStatistics& operator+=(const XskStatistics& other);
};

/// The memory is registered as a UMEM of the socket's own: see README.md.
///
/// Shape    chunks of 4096 bytes, no headroom of ours: frames arrive 256 bytes into a chunk. One
///          descriptor cannot cross the border of a chunk. A fill address stands for its whole
///          chunk, and so should a completed one: Linux 6.18 clears bit 0 of it in copy mode.
/// Threads  the data path is one thread's, one side of each ring.
/// Errors   name namespace, device, queue and mode, with the probable cause and the remedy.
/// Never    the data path makes no system call.
class Xsk {
 public:
  /// memory: page aligned, whole chunks, there for as long as this object. A queue that is just
  /// being freed is waited for.
  ///
  /// chunks: in the fill ring from the start, at most as many as it has entries; after an error
  /// they are the caller's as before. A driver that finds none when its queue starts may never look
  /// again, nor ask to be woken (igb).
  static Result<Xsk> open(const Netns& ns, const XskSetup& setup, std::span<std::byte> memory,
                          std::span<const FrameAddr> chunks);

  Xsk(Xsk&&) noexcept = default;
  Xsk& operator=(Xsk&&) = delete;
  Xsk(const Xsk&) = delete;
  Xsk& operator=(const Xsk&) = delete;
  ~Xsk() = default;

  /// Those it was opened with.
  [[nodiscard]] std::span<const FrameAddr> first_chunks() const { return first_chunks_; }

  [[nodiscard]] int fd() const { return ::xsk_socket__fd(socket_.get()); }
  /// What is in use. Zero-copy is the kernel's word (XDP_OPTIONS); copy and generic differ by how
  /// the program is attached, not by the socket.
  [[nodiscard]] XskMode mode() const { return mode_; }
  [[nodiscard]] Result<XskStatistics> statistics() const;

  /// Calls visit(FrameAddr, std::uint32_t len, bool continues) for what has arrived, oldest first.
  /// One that continues has its rest in the next descriptor.
  template <class Visit>
  std::size_t receive(std::size_t limit, Visit&& visit) {
    xsk_ring_cons& ring = rings_->rx;
    std::uint32_t index = 0;
    const std::uint32_t count = ::xsk_ring_cons__peek(&ring, bounded(limit), &index);
    for (std::uint32_t i = 0; i < count; ++i) {
      const xdp_desc& desc = *::xsk_ring_cons__rx_desc(&ring, index + i);
      visit(FrameAddr{desc.addr}, desc.len, (desc.options & XDP_PKT_CONTD) != 0);
    }
    if (count > 0) ::xsk_ring_cons__release(&ring, count);
    return count;
  }

  /// Whether receive() would find something.
  [[nodiscard]] bool has_received() const {
    return __atomic_load_n(rings_->rx.producer, __ATOMIC_ACQUIRE) != rings_->rx.cached_cons;
  }

  /// Entries for fill(), which must not be called for more.
  [[nodiscard]] std::size_t fill_room() { return room_of(rings_->fill); }
  /// Lends a chunk to the kernel, by any address in it, when publish_fill() is called.
  void fill(FrameAddr chunk) {
    *::xsk_ring_prod__fill_addr(&rings_->fill, next_of(rings_->fill)) = chunk.value;
  }
  void publish_fill() { publish(rings_->fill); }

  /// Entries for send(), which must not be called for more.
  [[nodiscard]] std::size_t send_room() { return room_of(rings_->tx); }
  /// Gives a frame, or a part of one, to the kernel when publish_send() is called.
  void send(FrameAddr addr, std::uint32_t len, bool continues) {
    *::xsk_ring_prod__tx_desc(&rings_->tx, next_of(rings_->tx)) = {
        .addr = addr.value, .len = len, .options = continues ? XDP_PKT_CONTD : 0U};
  }
  void publish_send() { publish(rings_->tx); }
  /// Entries that the kernel has not taken yet, or not said so; 0 once it has taken all. A call to
  /// send can say that all is well and leave some: the completion ring had no room.
  [[nodiscard]] std::size_t unsent() const {
    const xsk_ring_prod& ring = rings_->tx;
    return ring.cached_prod - __atomic_load_n(ring.consumer, __ATOMIC_ACQUIRE);
  }
  /// Whether a frame may be several descriptors.
  [[nodiscard]] bool multi_buffer() const { return multi_buffer_; }

  /// Calls visit(FrameAddr) for each descriptor that the kernel is done with, sent or not.
  template <class Visit>
  std::size_t complete(std::size_t limit, Visit&& visit) {
    xsk_ring_cons& ring = rings_->completion;
    std::uint32_t index = 0;
    const std::uint32_t count = ::xsk_ring_cons__peek(&ring, bounded(limit), &index);
    for (std::uint32_t i = 0; i < count; ++i)
      visit(FrameAddr{*::xsk_ring_cons__comp_addr(&ring, index + i)});
    if (count > 0) ::xsk_ring_cons__release(&ring, count);
    return count;
  }

  /// Whether the kernel waits for recvfrom() or poll() to take chunks from the fill ring.
  [[nodiscard]] bool fill_needs_wakeup() const {
    return ::xsk_ring_prod__needs_wakeup(&rings_->fill) != 0;
  }
  /// Whether each recvfrom() runs the device's NAPI (SO_PREFER_BUSY_POLL).
  [[nodiscard]] bool drives_napi() const { return drives_napi_; }
  /// Whether the kernel waits for sendto() or poll() to send: in copy mode always.
  [[nodiscard]] bool send_needs_wakeup() const {
    return !asks_ || ::xsk_ring_prod__needs_wakeup(&rings_->tx) != 0;
  }

 private:
  /// libxdp keeps pointers to these: they must stay where they are.
  struct Rings {
    xsk_ring_cons rx{};
    xsk_ring_prod fill{};
    xsk_ring_prod tx{};
    xsk_ring_cons completion{};
  };
  struct DeleteUmem {
    void operator()(xsk_umem* umem) const;
  };
  struct DeleteSocket {
    void operator()(xsk_socket* socket) const;
  };

  Xsk() = default;
  /// In the device's namespace.
  static Result<Xsk> try_open(const XskSetup& setup, std::span<std::byte> memory,
                              std::span<const FrameAddr> chunks, const std::string& doing);

  static std::uint32_t bounded(std::size_t limit) {
    return limit < UINT32_MAX ? static_cast<std::uint32_t>(limit) : UINT32_MAX;
  }
  // Asked for all entries, libxdp looks at the kernel's side of the ring.
  static std::size_t room_of(xsk_ring_prod& ring) { return ::xsk_prod_nb_free(&ring, ring.size); }
  static std::uint32_t next_of(xsk_ring_prod& ring) {
    invariant(ring.cached_prod != ring.cached_cons, "a ring has room for what is put into it");
    return ring.cached_prod++;
  }
  static void publish(xsk_ring_prod& ring) {
    ::xsk_ring_prod__submit(&ring, ring.cached_prod - *ring.producer);
  }

  // Data path.
  std::unique_ptr<Rings> rings_;
  bool asks_ = false;  // XDP_USE_NEED_WAKEUP
  bool multi_buffer_ = false;
  bool drives_napi_ = false;  // busy_poll_budget
  // Set-up. The socket goes first: its descriptor is the UMEM's, which closes it.
  XskMode mode_{};
  std::vector<FrameAddr> first_chunks_;
  std::unique_ptr<xsk_umem, DeleteUmem> umem_;
  std::unique_ptr<xsk_socket, DeleteSocket> socket_;
};

}  // namespace vethd

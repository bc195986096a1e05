// The floor for AF_XDP: what two sockets and one forwarding thread cost when nothing is emulated.
//
// Moves descriptors between one queue each of two devices, both ways, in memory that both devices
// use. The frames are never looked at. Prints "ready", forwards until SIGTERM or SIGINT, then
// counts. Killed in any other way it leaves libxdp's program on the devices.
//
// Instructions per frame, of this process alone:
//   valgrind --tool=callgrind --toggle-collect='*forward_batch*' bare ...
#include <linux/if_link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "daemon/netns/links.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd::bench {
namespace {

constexpr std::uint32_t kBatch = 64;         // vethd's receive batch
constexpr std::uint32_t kSendBatch = 32;     // TX_BATCH_SIZE of net/xdp/xsk.c: a send in copy mode
constexpr std::uint32_t kChunkBytes = 4096;  // igb splits longer frames over smaller ones
constexpr std::uint32_t kRing = 2048;        // all rings; libxdp's default
constexpr std::size_t kUmemBytes = 2UL * kRing * kChunkBytes;  // a ring full each way
constexpr int kUnderWayMs = 1;                   // frames may come home without an event
constexpr int kStopMs = 100;                     // a stop signal may have come just before the wait
constexpr std::chrono::milliseconds kPause{10};  // between two looks at what takes its time
constexpr std::chrono::seconds kBusyPatience{1};  // a closed socket leaves its queue a little later
constexpr std::chrono::seconds kCarrierPatience{10};  // igb resets its link when a program comes

enum class Mode : std::uint8_t { zerocopy, copy, generic };

struct Options {
  std::array<std::string, 2> ends;
  Mode mode = Mode::zerocopy;
  bool busy = false;
  bool need_wakeup = true;
};

volatile sig_atomic_t stop_requested = 0;

/// One queue of one device. libxdp keeps pointers to the rings: it must not move.
struct Socket {
  std::string label;  // as on the command line
  std::string ifname;
  std::uint32_t queue = 0;
  std::optional<Netns> ns;
  xsk_socket* xsk = nullptr;
  int fd = -1;
  xsk_ring_prod fill{};
  xsk_ring_prod tx{};
  xsk_ring_cons rx{};
  xsk_ring_cons completion{};

  Socket() = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (xsk == nullptr) return;
    // Takes the program off the device, which is found by its number.
    const auto removed = in_netns(*ns, [&]() -> Result<void> {
      xsk_socket__delete(xsk);
      return {};
    });
    if (!removed) std::fprintf(stderr, "bare: %s\n", removed.error().text().c_str());
  }
};

/// One way. Its frames circle: from.fill, from.rx, to.tx, to.completion, and from.fill again.
struct Direction {
  Socket& from;
  Socket& to;
  std::uint64_t forwarded = 0;  // frames
  std::uint32_t under_way = 0;  // frames on to.tx, in the device, or on to.completion
};

/// [NETNS/]IFNAME[:QUEUE]
Result<void> parse(std::string text, Socket& socket) {
  socket.label = text;
  config::NetnsRef ref;
  if (const std::size_t slash = text.find('/'); slash != std::string::npos) {
    ref = {.kind = config::NetnsRef::Kind::name, .text = text.substr(0, slash)};
    text.erase(0, slash + 1);
  }
  if (const std::size_t colon = text.find(':'); colon != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, socket.queue);
    if (error != std::errc{} || stop != end) return fail("read " + socket.label, "no queue", 0);
    text.erase(colon);
  }
  socket.ifname = text;
  Result<Netns> ns = Netns::open(ref);
  if (!ns) return pass(std::move(ns));
  socket.ns.emplace(*std::move(ns));
  return {};
}

/// Registers the frames, gives the device those from first on, a ring full, and binds. In this
/// order: some drivers look at the fill ring only then, and igb never receives if it is empty.
Result<void> open_socket(Socket& socket, void* frames, std::uint64_t first,
                         const Options& options) {
  xsk_umem_config umem_config{};
  umem_config.fill_size = umem_config.comp_size = kRing;
  umem_config.frame_size = kChunkBytes;
  xsk_umem* umem = nullptr;
  int error =
      xsk_umem__create(&umem, frames, kUmemBytes, &socket.fill, &socket.completion, &umem_config);
  if (error < 0) return fail("register frames for " + socket.label, {}, -error);
  std::uint32_t at = 0;
  xsk_ring_prod__reserve(&socket.fill, kRing, &at);
  for (std::uint32_t i = 0; i < kRing; ++i) {
    *xsk_ring_prod__fill_addr(&socket.fill, at + i) = (first + i) * kChunkBytes;
  }
  xsk_ring_prod__submit(&socket.fill, kRing);

  const bool zero_copy = options.mode == Mode::zerocopy;
  xsk_socket_config config{};
  config.rx_size = config.tx_size = kRing;
  config.xdp_flags = options.mode == Mode::generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  config.bind_flags = zero_copy ? XDP_ZEROCOPY : XDP_COPY;
  if (options.need_wakeup) config.bind_flags |= XDP_USE_NEED_WAKEUP;
  const auto patience = std::chrono::steady_clock::now() + kBusyPatience;
  while ((error = xsk_socket__create(&socket.xsk, socket.ifname.c_str(), socket.queue, umem,
                                     &socket.rx, &socket.tx, &config)) == -EBUSY &&
         std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(kPause);
  }
  if (error < 0) return fail("bind " + socket.label, {}, -error);
  socket.fd = xsk_socket__fd(socket.xsk);

  // What the kernel says, whatever was asked for.
  xdp_options got{};
  socklen_t length = sizeof got;
  if (::getsockopt(socket.fd, SOL_XDP, XDP_OPTIONS, &got, &length) < 0) {
    return fail("read XDP_OPTIONS of " + socket.label);
  }
  if (((got.flags & XDP_OPTIONS_ZEROCOPY) != 0) == zero_copy) return {};
  return fail("bind " + socket.label, zero_copy ? "got copy mode" : "got zero-copy mode", 0);
}

Result<void> await_carrier(const Socket& socket) {
  Result<Links> links = Links::open(*socket.ns);
  if (!links) return pass(std::move(links));
  const auto patience = std::chrono::steady_clock::now() + kCarrierPatience;
  for (;;) {
    const Result<LinkState> link = links->find(socket.ifname);
    if (!link) return std::unexpected(link.error());
    if (!link->up) return fail("use " + socket.label, "it is down", ENETDOWN);
    if (link->carrier) return {};
    if (std::chrono::steady_clock::now() > patience || stop_requested != 0) {
      return fail("use " + socket.label, "no carrier", ENETDOWN);
    }
    std::this_thread::sleep_for(kPause);
  }
}

/// The frames are mapped once and registered with each socket: an address means the same to both.
Result<void> open(std::array<Socket, 2>& sockets, const Options& options) {
  void* const frames = ::mmap(nullptr, kUmemBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (frames == MAP_FAILED) return fail("map the frames");
  for (std::uint32_t first = 0; Socket & socket : sockets) {
    Result<void> opened =
        in_netns(*socket.ns, [&] { return open_socket(socket, frames, first, options); });
    if (!opened) return opened;
    first += kRing;
  }
  for (const Socket& socket : sockets) {
    Result<void> up = await_carrier(socket);
    if (!up) return up;
  }
  return {};
}

/// The descriptors of one batch, and of those that have been sent. Returns how many arrived.
[[gnu::noinline]] std::uint32_t forward_batch(Direction& way) {
  Socket& from = way.from;
  Socket& to = way.to;
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  // No reserve below can fail: a direction has no more frames than each ring has room for.
  const std::uint32_t sent = xsk_ring_cons__peek(&to.completion, kBatch, &in);
  if (sent > 0) {
    xsk_ring_prod__reserve(&from.fill, sent, &out);
    for (std::uint32_t i = 0; i < sent; ++i) {
      *xsk_ring_prod__fill_addr(&from.fill, out + i) =
          *xsk_ring_cons__comp_addr(&to.completion, in + i);
    }
    xsk_ring_prod__submit(&from.fill, sent);
    xsk_ring_cons__release(&to.completion, sent);
  }
  const std::uint32_t arrived = xsk_ring_cons__peek(&from.rx, kBatch, &in);
  if (arrived > 0) {
    xsk_ring_prod__reserve(&to.tx, arrived, &out);
    for (std::uint32_t i = 0; i < arrived; ++i) {
      *xsk_ring_prod__tx_desc(&to.tx, out + i) = *xsk_ring_cons__rx_desc(&from.rx, in + i);
    }
    xsk_ring_prod__submit(&to.tx, arrived);
    xsk_ring_cons__release(&from.rx, arrived);
  }
  way.forwarded += arrived;
  way.under_way += arrived - sent;
  return arrived;
}

/// The kernel has not yet taken all that is on the ring.
bool is_unsent(const xsk_ring_prod& tx) {
  return __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE) != *tx.producer;
}

/// Calls the kernel where it wants to be called.
Result<void> wake(Direction& way, bool need_wakeup) {
  if (need_wakeup && xsk_ring_prod__needs_wakeup(&way.from.fill) != 0) {
    ::recvfrom(way.from.fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  }
  for (std::uint32_t n = 0; n < kBatch / kSendBatch && is_unsent(way.to.tx); ++n) {
    if (need_wakeup && xsk_ring_prod__needs_wakeup(&way.to.tx) == 0) break;
    if (::sendto(way.to.fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) break;
    // More than one batch is left; the device is full, or its link is being reset: later, then.
    if (errno == EAGAIN) continue;
    if (errno == EBUSY || errno == ENOBUFS || errno == ENETDOWN || errno == ENXIO) break;
    return fail("send on " + way.to.label);
  }
  return {};
}

Result<void> forward(std::array<Direction, 2>& ways, const Options& options) {
  std::array<pollfd, 2> waits{{{ways[0].from.fd, POLLIN, 0}, {ways[1].from.fd, POLLIN, 0}}};
  while (stop_requested == 0) {
    std::uint32_t arrived = 0;
    for (Direction& way : ways) {
      arrived += forward_batch(way);
      Result<void> woken = wake(way, options.need_wakeup);
      if (!woken) return woken;
    }
    if (arrived > 0 || options.busy) continue;
    const bool under_way = ways[0].under_way + ways[1].under_way > 0;
    if (::poll(waits.data(), waits.size(), under_way ? kUnderWayMs : kStopMs) < 0) {
      if (errno == EINTR) continue;
      return fail("wait for frames");
    }
    if (((waits[0].revents | waits[1].revents) & ~POLLIN) != 0) {
      return fail("wait for frames", "a device was removed or has gone down", ENETDOWN);
    }
  }
  return {};
}

Result<void> run(const Options& options) {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_requested = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  libbpf_set_print(nullptr);
  libxdp_set_print(nullptr);
  // One program per device: a dispatcher in front of it would cost on some machines only.
  ::setenv("LIBXDP_SKIP_DISPATCHER", "1", 0);  // NOLINT(concurrency-mt-unsafe): no other thread

  std::array<Socket, 2> sockets;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    Result<void> parsed = parse(options.ends[i], sockets[i]);
    if (!parsed) return parsed;
  }
  Result<void> opened = open(sockets, options);
  if (!opened) return opened;
  std::puts("ready");
  std::fflush(stdout);

  std::array<Direction, 2> ways{
      {{.from = sockets[0], .to = sockets[1]}, {.from = sockets[1], .to = sockets[0]}}};
  Result<void> ended = forward(ways, options);
  for (const Direction& way : ways) {
    std::printf("%s to %s: %" PRIu64 " frames\n", way.from.label.c_str(), way.to.label.c_str(),
                way.forwarded);
  }
  return ended;
}

}  // namespace
}  // namespace vethd::bench

int main(int argc, char* argv[]) {
  using namespace vethd::bench;
  Options options;
  CLI::App app{"Forwards frames between two devices by AF_XDP, and does nothing else."};
  app.add_option("--from", options.ends[0], "[NETNS/]IFNAME[:QUEUE]")->required();
  app.add_option("--to", options.ends[1], "[NETNS/]IFNAME[:QUEUE]; frames go both ways")
      ->required();
  const std::map<std::string, Mode> modes{
      {"zerocopy", Mode::zerocopy}, {"copy", Mode::copy}, {"generic", Mode::generic}};
  app.add_option("--mode", options.mode, "zerocopy (default), copy or generic; never another")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_flag("--busy", options.busy, "look again at once instead of poll(2)");
  app.add_flag("!--no-need-wakeup", options.need_wakeup, "call the kernel for every batch");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const vethd::Result<void> result = run(options);
  if (!result) {
    std::fprintf(stderr, "bare: %s\n", result.error().text().c_str());
    return 1;
  }
  return 0;
}

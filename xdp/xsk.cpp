#include "xdp/xsk.hpp"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "daemon/core/fd.hpp"
#include "daemon/frame/arena.hpp"
#include "xdp/bind_hint.hpp"
#include "xdp/log.hpp"

namespace vethd {
namespace {

// A queue is freed by a kernel thread, some milliseconds after its socket was closed
// (xp_put_pool()).
constexpr std::chrono::milliseconds kReleaseLimit{500};
constexpr std::chrono::milliseconds kReleaseStep{5};

std::uint16_t bind_flags(const XskSetup& setup) {
  unsigned flags = setup.mode == XskMode::zerocopy ? XDP_ZEROCOPY : XDP_COPY;
  if (setup.need_wakeup) flags |= XDP_USE_NEED_WAKEUP;
  if (setup.multi_buffer) flags |= XDP_USE_SG;
  return static_cast<std::uint16_t>(flags);
}

/// One ethtool command, or an interface ioctl, about a device of the thread's namespace.
class DeviceIoctl {
 public:
  explicit DeviceIoctl(const std::string& ifname) { ifname.copy(request_.ifr_name, IFNAMSIZ - 1); }
  const ifreq* ask(unsigned long what) {
    return ::ioctl(socket_.get(), what, &request_) == 0 ? &request_ : nullptr;
  }
  template <class Command>
  bool ethtool(Command& command) {
    request_.ifr_data = reinterpret_cast<char*>(&command);
    return ask(SIOCETHTOOL) != nullptr;
  }

 private:
  Fd socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request_{};
};

BindFacts facts_of(const XskSetup& setup) {
  BindFacts facts{
      .mode = setup.mode, .multi_buffer = setup.multi_buffer, .queue = setup.queue.value};
  DeviceIoctl device(setup.ifname);
  if (const ifreq* answer = device.ask(SIOCGIFFLAGS)) facts.up = (answer->ifr_flags & IFF_UP) != 0;
  if (const ifreq* answer = device.ask(SIOCGIFMTU))
    facts.mtu = static_cast<std::uint32_t>(answer->ifr_mtu);
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (device.ethtool(driver))
    facts.driver = {driver.driver, ::strnlen(driver.driver, sizeof driver.driver)};
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (device.ethtool(channels)) {
    facts.queues = channels.combined_count + std::max(channels.rx_count, channels.tx_count);
    const std::string wanted = std::to_string(setup.queue.value + 1);
    facts.queue_command =
        "ethtool -L " + setup.ifname +
        (channels.max_combined > 0 ? " combined " + wanted : " rx " + wanted + " tx " + wanted);
  }
  return facts;
}

Result<void> set_busy_poll(int fd, const XskSetup& setup, const std::string& doing) {
  const auto set = [&](int option, std::uint32_t value) {
    return ::setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0;
  };
  const bool done =
      (setup.busy_poll_budget == 0 ||
       (set(SO_PREFER_BUSY_POLL, 1) && set(SO_BUSY_POLL_BUDGET, setup.busy_poll_budget))) &&
      (setup.busy_poll_usecs == 0 || set(SO_BUSY_POLL, setup.busy_poll_usecs));
  if (done) return {};
  const int code = errno;
  return fail(doing + ": set busy polling",
              code == EPERM         ? "needs CAP_NET_ADMIN"
              : code == ENOPROTOOPT ? "needs Linux 5.11"
                                    : "",
              code);
}

Result<XskMode> mode_in_use(int fd, XskMode asked, const std::string& doing) {
  xdp_options options{};
  socklen_t bytes = sizeof options;
  if (::getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) < 0)
    return fail(doing + ": ask which mode it is in");
  if ((options.flags & XDP_OPTIONS_ZEROCOPY) != 0) return XskMode::zerocopy;
  if (asked == XskMode::zerocopy) return fail(doing + ": the kernel chose to copy", {}, 0);
  return asked;
}

}  // namespace

XskStatistics& XskStatistics::operator+=(const XskStatistics& other) {
  rx_dropped += other.rx_dropped;
  rx_invalid_descs += other.rx_invalid_descs;
  tx_invalid_descs += other.tx_invalid_descs;
  rx_ring_full += other.rx_ring_full;
  rx_fill_ring_empty_descs += other.rx_fill_ring_empty_descs;
  tx_ring_empty_descs += other.tx_ring_empty_descs;
  return *this;
}

void Xsk::DeleteUmem::operator()(xsk_umem* umem) const {
  invariant(::xsk_umem__delete(umem) == 0, "a UMEM goes after its socket");
}

void Xsk::DeleteSocket::operator()(xsk_socket* socket) const { ::xsk_socket__delete(socket); }

Result<Xsk> Xsk::try_open(const XskSetup& setup, std::span<std::byte> memory,
                          std::span<const FrameAddr> chunks, const std::string& doing) {
  Xsk xsk;
  xsk.rings_ = std::make_unique<Rings>();
  xsk.asks_ = setup.need_wakeup;
  xsk.multi_buffer_ = setup.multi_buffer;
  xsk.drives_napi_ = setup.busy_poll_budget != 0;
  const xsk_umem_config umem_config{.fill_size = setup.fill_ring,
                                    .comp_size = setup.completion_ring,
                                    .frame_size = kChunkBytes,
                                    .frame_headroom = 0,
                                    .flags = 0};
  xsk_umem* umem = nullptr;
  int error = ::xsk_umem__create(&umem, memory.data(), memory.size(), &xsk.rings_->fill,
                                 &xsk.rings_->completion, &umem_config);
  if (error < 0) return fail(doing, bind_hint(-error, facts_of(setup)), -error);
  xsk.umem_.reset(umem);
  for (const FrameAddr chunk : chunks) xsk.fill(chunk);
  xsk.publish_fill();
  xsk.first_chunks_.assign(chunks.begin(), chunks.end());
  xsk_socket_config config{};
  config.rx_size = setup.rx_ring;
  config.tx_size = setup.tx_ring;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = bind_flags(setup);
  xsk_socket* socket = nullptr;
  error = ::xsk_socket__create(&socket, setup.ifname.c_str(), setup.queue.value, umem,
                               &xsk.rings_->rx, &xsk.rings_->tx, &config);
  if (error < 0) return fail(doing, bind_hint(-error, facts_of(setup)), -error);
  xsk.socket_.reset(socket);
  ::fcntl(xsk.fd(), F_SETFD, FD_CLOEXEC);  // libxdp does not ask for it
  if (auto set = set_busy_poll(xsk.fd(), setup, doing); !set) return pass(std::move(set));
  auto mode = mode_in_use(xsk.fd(), setup.mode, doing);
  if (!mode) return pass(std::move(mode));
  xsk.mode_ = *mode;
  return xsk;
}

Result<Xsk> Xsk::open(const Netns& ns, const XskSetup& setup, std::span<std::byte> memory,
                      std::span<const FrameAddr> chunks) {
  invariant(memory.size() % kChunkBytes == 0, "a UMEM has whole chunks");
  for (const std::uint32_t entries :
       {setup.rx_ring, setup.tx_ring, setup.fill_ring, setup.completion_ring})
    invariant(std::has_single_bit(entries), "a ring's size is a power of two");
  const std::string doing = "open an AF_XDP socket on " + ns.label() + "/" + setup.ifname +
                            " queue " + std::to_string(setup.queue.value) + " (" +
                            name_of(setup.mode) + ")";
  // libxdp makes the socket, and looks the device up, where the calling thread is.
  return in_netns(ns, [&]() -> Result<Xsk> {
    for (std::chrono::milliseconds left = kReleaseLimit;; left -= kReleaseStep) {
      auto opened = try_open(setup, memory, chunks, doing);
      if (opened || opened.error().code != EBUSY || left.count() <= 0) return opened;
      std::this_thread::sleep_for(kReleaseStep);
    }
  });
}

Result<XskStatistics> Xsk::statistics() const {
  xdp_statistics read{};
  socklen_t bytes = sizeof read;
  if (::getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &read, &bytes) < 0)
    return fail("read an AF_XDP socket's statistics");
  return XskStatistics{.rx_dropped = read.rx_dropped,
                       .rx_invalid_descs = read.rx_invalid_descs,
                       .tx_invalid_descs = read.tx_invalid_descs,
                       .rx_ring_full = read.rx_ring_full,
                       .rx_fill_ring_empty_descs = read.rx_fill_ring_empty_descs,
                       .tx_ring_empty_descs = read.tx_ring_empty_descs};
}

}  // namespace vethd

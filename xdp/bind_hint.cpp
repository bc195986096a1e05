#include "xdp/bind_hint.hpp"

#include <linux/if_ether.h>

#include <cerrno>

#include "daemon/frame/arena.hpp"

namespace vethd {
namespace {

constexpr std::uint32_t kTagBytes = 4;  // 802.1Q
constexpr std::uint32_t kMaxChunkMtu = kChunkFrameBytes - ETH_HLEN - kTagBytes;
const char* const kOrCopy = "; or set mode = \"copy\"";

bool is_too_long(const BindFacts& facts) { return !facts.multi_buffer && facts.mtu > kMaxChunkMtu; }

std::string driver_of(const BindFacts& facts) {
  return facts.driver.empty() ? "its driver" : "its driver " + facts.driver;
}

std::string queues_of(const BindFacts& facts) {
  const std::string range = facts.queues == 1
                                ? "it has queue 0 only"
                                : "it has queues 0 to " + std::to_string(facts.queues - 1);
  return range + (facts.queue_command.empty() ? "" : "; more with: " + facts.queue_command);
}

std::string mtu_of(const BindFacts& facts) {
  return "its mtu " + std::to_string(facts.mtu) + " is more than a chunk holds, " +
         std::to_string(kMaxChunkMtu) + ": lower it, or use multi-buffer";
}

// net/xdp/xsk.c refuses with EINVAL flags it does not know and queues there are not; the rest is
// the driver's, and only in zero-copy mode.
std::string invalid(const BindFacts& facts) {
  if (facts.queues != 0 && facts.queue >= facts.queues) return queues_of(facts);
  if (facts.mode == XskMode::zerocopy) {
    if (!facts.up) return "bring the device up";
    if (is_too_long(facts)) return mtu_of(facts) + kOrCopy;
    if (facts.driver == "virtio_net")
      return std::string(
                 "a virtio device lends itself to zero-copy only where it uses the DMA API: "
                 "start it with iommu_platform=on") +
             kOrCopy;
    return driver_of(facts) + " refuses zero-copy with these channels or this mtu" + kOrCopy;
  }
  if (facts.multi_buffer) return "frames in several descriptors need Linux 6.6: no multi-buffer";
  return facts.queues == 0 ? "it may have no such queue" : "";
}

std::string unsupported(const BindFacts& facts) {
  if (facts.mode != XskMode::zerocopy) return "";
  std::string text = driver_of(facts) + " has no zero-copy ";
  if (facts.multi_buffer)
    text += "for frames in several descriptors, which its mtu " + std::to_string(facts.mtu) +
            " makes: lower it; or it has none at all ";
  text += "in this kernel";
  if (facts.driver == "virtio_net") text += " (Linux 6.12 is too old)";
  if (facts.driver == "igb") text += " (it has since Linux 6.14)";
  return text + kOrCopy;
}

}  // namespace

std::string bind_hint(int code, const BindFacts& facts) {
  if (code == EINVAL) return invalid(facts);
  if (code == EOPNOTSUPP) return unsupported(facts);
  switch (code) {
    case ENOENT:
      return facts.driver == "virtio_net"
                 ? std::string(
                       "the virtio device cannot reset a single queue, which zero-copy "
                       "needs: start it with queue_reset=on") +
                       kOrCopy
                 : "";
    case ENODEV:
    case ENXIO:
      return "there is no such device in this namespace";
    case ENETDOWN:
      return "bring the device up";
    case EBUSY:
      return "another AF_XDP socket has this queue: ss --xdp -p shows whose";
    case EPERM:
      return "needs CAP_NET_RAW and CAP_NET_ADMIN";
    case EAFNOSUPPORT:
      return "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)";
    case ENOBUFS:
      return "the limit of locked memory is below the frame arena, once per socket: raise "
             "LimitMEMLOCK, give CAP_IPC_LOCK, or lower [daemon] memory";
    case ENOMEM:
      return "the kernel lacks memory to pin the frame arena: lower [daemon] memory";
    case EMFILE:
      return "raise RLIMIT_NOFILE";
    default:
      return "";
  }
}

}  // namespace vethd

#include "daemon/control/hooks.hpp"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "config/limits.hpp"
#include "daemon/control/pairs.hpp"
#include "xdp/object.hpp"

namespace vethd {
namespace {

Result<void> attach_program(PairEnd& end, PairEnd& peer) {
  const config::Xdp& wanted = *end.config.xdp;
  const std::string doing = "attach XDP program " + wanted.program + " to " + subject(end);
  const auto info = inspect_xdp(wanted.object, wanted.program);
  if (!info) return std::unexpected(info.error());
  const std::uint32_t max_mtu = info->frags ? config::kMaxXdpFragsMtu : config::kMaxXdpMtu;
  const std::uint32_t mtu = peer.nic ? peer.link.mtu : peer.config.mtu;
  if (mtu > max_mtu)
    return fail(doing,
                "the other end may have mtu " + std::to_string(max_mtu) +
                    " at most: one page must hold its frames, unless the program takes fragments",
                ERANGE);
  if (end.config.queues < peer.config.queues)
    return fail(doing, "give it as many queues as the other end has", ENOSPC);
  auto hook = XdpHook::attach(end.netns->netns, end.link.ifindex, wanted.object, wanted.program);
  if (!hook) return pass(std::move(hook));
  if (const auto verdicts = hook->verdicts(); !verdicts)
    spdlog::info("{}: verdicts are unknown: {}", subject(end), verdicts.error().text());
  end.xdp = std::move(*hook);
  peer.max_mtu = max_mtu;
  if (peer.nic) return {};  // sends no super-frames anyway
  return peer.tap->set_segmentation(false);
}

}  // namespace

Result<void> attach_programs(VethPair& pair) {
  for (const Side side : {Side::a, Side::b}) {
    PairEnd& end = pair.end(side);
    if (!end.config.xdp) continue;
    if (auto attached = attach_program(end, pair.end(peer_of(side))); !attached) return attached;
  }
  return {};
}

void warn_of_mtu(const VethPair& pair, Side side, std::uint32_t mtu) {
  const PairEnd& end = pair.end(side);
  if (!end.max_mtu || mtu <= *end.max_mtu) return;
  spdlog::warn(
      "pair {}: {} has mtu {}: a veth takes at most {} while there is an XDP program at the other "
      "end (EINVAL)",
      pair.name, subject(end), mtu, *end.max_mtu);
}

}  // namespace vethd

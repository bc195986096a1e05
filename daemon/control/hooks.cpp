#include "daemon/control/hooks.hpp"

#include <string>
#include <utility>

#include "config/limits.hpp"
#include "daemon/control/pairs.hpp"
#include "daemon/process/log.hpp"
#include "xdp/object.hpp"

namespace vethd {
namespace {

/// Linux 4.14's veth leaves XDP to the stack.
bool has_native_xdp(const VethPair& pair) { return pair.rules->napi != Rules::Napi::never; }

std::uint32_t program_on(const LinkState& link) {
  return link.native_xdp != 0 ? link.native_xdp : link.generic_xdp;
}

/// What veth_xdp_set() asks of the other end.
Result<void> check_peer(const PairEnd& end, const PairEnd& peer, std::uint32_t max_mtu,
                        const std::string& doing) {
  const std::uint32_t mtu = peer.nic ? peer.link.mtu : peer.config.mtu;
  if (mtu > max_mtu)
    return fail(doing,
                "the other end may have mtu " + std::to_string(max_mtu) +
                    " at most: one page must hold its frames, unless the program takes fragments",
                ERANGE);
  if (end.config.queues < peer.config.queues)
    return fail(doing, "give it as many queues as the other end has", ENOSPC);
  return {};
}

Result<void> attach_program(VethPair& pair, Side side) {
  PairEnd& end = pair.end(side);
  PairEnd& peer = pair.end(peer_of(side));
  const config::Xdp& wanted = *end.config.xdp;
  const bool native = has_native_xdp(pair);
  const std::string doing = "attach XDP program " + wanted.program + " to " + subject(end);
  const auto info = inspect_xdp(wanted.object, wanted.program);
  if (!info) return std::unexpected(info.error());
  end.program_max_mtu = info->frags ? config::kMaxXdpFragsMtu : config::kMaxXdpMtu;
  if (native)
    if (auto fits = check_peer(end, peer, end.program_max_mtu, doing); !fits) return fits;
  auto hook = XdpHook::attach(end.netns->netns, end.link.ifindex, wanted.object, wanted.program,
                              native ? XdpAttach::native : XdpAttach::generic);
  if (!hook) return pass(std::move(hook));
  end.xdp = std::move(*hook);
  (native ? end.link.native_xdp : end.link.generic_xdp) = end.xdp->caller_id();
  return {};
}

/// Between its peer and what it sends back: a veth's NAPI is there with a program only, a card
/// needs none, and the stack's hook sends as any sender does.
bool takes_what_is_sent_back(const VethPair& pair, Side side) {
  return pair.end(side).nic || !has_native_xdp(pair) || runs_xdp(pair, side);
}

/// What the other end's programs let an end do.
void fit_to_peer(VethPair& pair, Side side) {
  PairEnd& end = pair.end(side);
  const PairEnd& peer = pair.end(peer_of(side));
  end.max_mtu.reset();
  if (runs_xdp(pair, peer_of(side)))
    end.max_mtu = is_configured(peer) ? peer.program_max_mtu : config::kMaxXdpMtu;
  if (end.xdp) end.xdp->peer_runs_xdp(takes_what_is_sent_back(pair, peer_of(side)));
}

void say_what_changed(const VethPair& pair, Side side, const LinkState& before) {
  const PairEnd& end = pair.end(side);
  const std::uint32_t was = program_on(before);
  const std::uint32_t now = program_on(end.link);
  if (end.xdp && was == end.xdp->caller_id())
    log::warn(
        "pair {}: the XDP program of {} was detached by force: its frames pass; start vethd again "
        "to have it attached",
        pair.name, subject(end));
  else if (was != 0)
    log::info("pair {}: an XDP program of somebody else has left {}", pair.name, subject(end));
  if (now != 0 && !is_configured(end))
    log::info("pair {}: somebody has attached XDP program {} (id {}) to {}", pair.name,
              xdp_program_name(now), now, subject(end));
}

void follow_steering(const VethPair& pair, PairEnd& end) {
  const bool steered = end.nic->attached();
  if (!std::exchange(end.steered, steered) || steered) return;
  log::warn(
      "pair {}: the XDP program that steers frames of {} here was detached by force: they go to "
      "its stack, and the pair has no carrier; start vethd again to have it attached",
      pair.name, subject(end));
}

}  // namespace

bool is_configured(const PairEnd& end) {
  return end.xdp && program_on(end.link) == end.xdp->caller_id();
}

bool has_program(const PairEnd& end) { return end.tap && program_on(end.link) != 0; }

Result<void> attach_programs(VethPair& pair) {
  for (const Side side : {Side::a, Side::b})
    if (pair.end(side).config.xdp)
      if (auto attached = attach_program(pair, side); !attached) return attached;
  for (const Side side : {Side::a, Side::b}) fit_to_peer(pair, side);
  return {};
}

bool runs_xdp(const VethPair& pair, Side side) {
  const PairEnd& end = pair.end(side);
  return end.tap && has_native_xdp(pair) && end.link.native_xdp != 0;
}

void follow_program(VethPair& pair, Side side, const LinkState& before) {
  PairEnd& end = pair.end(side);
  if (end.nic) return follow_steering(pair, end);
  if (before.native_xdp == end.link.native_xdp && before.generic_xdp == end.link.generic_xdp)
    return;
  say_what_changed(pair, side, before);
  for (const Side each : {Side::a, Side::b}) fit_to_peer(pair, each);
  if (runs_xdp(pair, side) && before.native_xdp == 0) warn_of_mtu(pair, peer_of(side));
  if (auto fitted = fit_segmentation(pair, peer_of(side)); !fitted)
    log::warn("pair {}: {}", pair.name, fitted.error().text());
}

Result<void> fit_segmentation(VethPair& pair, Side side) {
  PairEnd& end = pair.end(side);
  if (!end.tap) return {};  // sends no super-frames anyway
  const PairEnd& peer = pair.end(peer_of(side));
  const bool long_frames = peer.nic && peer.nic->multi_buffer();
  return end.tap->set_segmentation(!long_frames && !runs_xdp(pair, peer_of(side)));
}

void warn_of_mtu(const VethPair& pair, Side side) {
  const PairEnd& end = pair.end(side);
  if (!end.max_mtu || end.link.mtu <= *end.max_mtu) return;
  log::warn(
      "pair {}: {} has mtu {}: a veth takes at most {} while there is an XDP program at the other "
      "end (EINVAL), and refuses the program while it is larger (ERANGE)",
      pair.name, subject(end), end.link.mtu, *end.max_mtu);
}

}  // namespace vethd

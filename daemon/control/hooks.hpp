// XDP programs on the ends of a pair, by the rules of veth: those of the configuration, and those
// that others attach while the pair runs.
#pragma once

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/links.hpp"

namespace vethd {

struct PairEnd;
struct VethPair;

/// Attaches the programs that the configuration names, before the devices come up.
///
/// Emulates  drivers/net/veth.c: veth_xdp_set(), its refusals; before Linux 4.19 there is none, and
///           `ip link set xdp` falls back to the stack's generic hook (dev_change_xdp_fd()).
/// Errors    ERANGE: the other end's mtu; ENOSPC: fewer rx queues than the other end's tx queues;
///           those of XdpHook.
Result<void> attach_programs(VethPair& pair);

/// Whether the program on an end is the configured one: it may have been detached by force.
[[nodiscard]] bool is_configured(const PairEnd& end);

/// Whether a TAP has a program, whoever attached it and whoever runs it.
[[nodiscard]] bool has_program(const PairEnd& end);

/// Whether the driver of a veth would run a program here, whoever attached it.
[[nodiscard]] bool runs_xdp(const VethPair& pair, Side side);

/// Looks what has become of the programs of an end, configured or not, and does what a veth would:
/// the other end gets its segmentation and its largest mtu. What changed is logged.
///
/// Shape     the end's link is what it is now; before is what it was.
/// Emulates  drivers/net/veth.c: veth_xdp_set().
void follow_program(VethPair& pair, Side side, const LinkState& before);

/// Whether this end's stack may send frames of many segments, by what the other end can take: no
/// program of a veth and no network card with long frames, whose segments would not fit a chunk.
///
/// Emulates  drivers/net/veth.c: veth_fix_features().
Result<void> fit_segmentation(VethPair& pair, Side side);

/// Says what a veth would have done: a TAP takes an mtu that is too large for the program at the
/// other end, and nobody can refuse it in its stead.
void warn_of_mtu(const VethPair& pair, Side side);

}  // namespace vethd

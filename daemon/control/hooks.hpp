// XDP programs on the ends of a pair, by the rules of veth.
#pragma once

#include <cstdint>

#include "daemon/core/ids.hpp"
#include "daemon/core/result.hpp"

namespace vethd {

struct VethPair;

/// Attaches the programs that the configuration names, before the devices come up.
///
/// Emulates  drivers/net/veth.c: veth_xdp_set() and veth_fix_features(): what it asks of the other
///           end, which from then on sends no frame of many segments, and has a largest mtu.
/// Errors    ERANGE: the other end's mtu; ENOSPC: fewer rx queues than the other end's tx queues;
///           those of XdpHook.
Result<void> attach_programs(VethPair& pair);

/// Says what a veth would have done: a TAP takes an mtu that is too large for the program at the
/// other end, and nobody can refuse it in its stead.
void warn_of_mtu(const VethPair& pair, Side side, std::uint32_t mtu);

}  // namespace vethd

// What an end with driver = "af_xdp" may say, and the memory it takes: rules of validate().
#pragma once

#include <cstdint>

#include "config/diagnostics.hpp"
#include "config/schema.hpp"

namespace vethd::config {

/// Keys that belong to the other driver, and rings that do not fit each other.
void check_drivers(const Pair& pair, Diagnostics& out);

/// The chunks of the arena that AF_XDP ends need beside what a worker has anyway, on the worker
/// that needs most: what they lend to their devices, what lies in transmit rings meanwhile, and a
/// full backlog of each machine on that worker. 0 without such ends, and while a number that counts
/// was refused.
std::uint64_t chunks_for_af_xdp(const Config& config);

}  // namespace vethd::config

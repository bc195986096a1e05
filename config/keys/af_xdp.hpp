// The keys of [pair.a] and [pair.b] that only an end with driver = "af_xdp" has.
#pragma once

#include <span>

#include "config/keys/readers.hpp"

namespace vethd::config {

std::span<const Key<End>> af_xdp_keys();

}  // namespace vethd::config

// The sections, each in a file of its own beside this one.
#pragma once

#include <vector>

#include "config/keys.hpp"

namespace vethd::config {

std::vector<KeyInfo> daemon_keys();
std::vector<KeyInfo> softnet_keys();
std::vector<KeyInfo> pair_keys();
std::vector<KeyInfo> end_keys();
std::vector<KeyInfo> metadata_keys();
std::vector<KeyInfo> xdp_keys();

}  // namespace vethd::config

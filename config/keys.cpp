#include "config/keys.hpp"

#include "config/keys/sections.hpp"

namespace vethd::config {

std::vector<SectionInfo> all_keys() {
  return {{"[daemon]", daemon_keys()},
          {"[softnet]", softnet_keys()},
          {"[[pair]]", pair_keys()},
          {"[pair.a]", end_keys()},
          {"[pair.a.metadata]", metadata_keys()},
          {"[pair.a.xdp]", xdp_keys()}};
}

}  // namespace vethd::config

// Any bytes at all as a configuration: it is accepted, or refused with errors that print.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/parse.hpp"
#include "daemon/core/panic.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vethd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = config::parse(text, "fuzz.toml", {.online_cpus = {0, 1}});
  if (config) {
    invariant(!config->pairs.empty(), "an accepted configuration has a pair");
    invariant(config->daemon.workers >= 1, "an accepted configuration has a worker");
    for (const config::Pair& pair : config->pairs) {
      invariant(pair.machine.value < config->machines.size(), "a pair's machine exists");
      invariant(!pair.a.ifname.empty() && !pair.b.ifname.empty(), "an end has a name");
      for (const config::End* end : {&pair.a, &pair.b}) {
        const config::AfXdp& nic = end->af_xdp;
        invariant(!nic.steer.multicast || nic.steer.mac, "multicast comes beside a MAC");
        invariant(nic.fill_ring >= nic.rx_ring, "what is lent finds room when it comes back");
      }
    }
  } else {
    invariant(!config.error().text().empty(), "a refusal says why");
  }
  return 0;
}

#include "daemon/control/upkeep.hpp"

#include "daemon/control/pairs.hpp"
#include "daemon/process/log.hpp"

namespace vethd {
namespace {

void put_back_noqueue(const VethPair& pair, PairEnd& end) {
  // "noop" stands for none, while the device is down: the default comes with "up".
  if (end.link.qdisc == "noqueue" || end.link.qdisc == "noop") return;
  Links& links = end.netns->links;
  const auto is_default = links.has_default_qdisc(end.link.ifindex);
  if (!is_default) return log::warn("pair {}: {}", pair.name, is_default.error().text());
  if (!*is_default) return;
  if (auto set = links.set_noqueue(end.link.ifindex); !set)
    log::warn("pair {}: {}", pair.name, set.error().text());
}

void put_back_carrier(const VethPair& pair, PairEnd& end) {
  if (end.link.carrier == end.carrier) return;
  if (auto set = end.tap->set_carrier(end.carrier); !set)
    return log::warn("pair {}: {}", pair.name, set.error().text());
  log::warn("pair {}: somebody switched the carrier of {}, which a veth refuses: put back",
            pair.name, subject(end));
}

void put_back_txqueuelen(const VethPair& pair, PairEnd& end) {
  const std::uint32_t wanted = end.config.txqueuelen;
  if (end.link.txqueuelen == wanted) return;
  LinkConfig config;
  config.txqueuelen = wanted;
  if (auto set = end.netns->links.configure(end.link.ifindex, config); !set)
    return log::warn("pair {}: {}", pair.name, set.error().text());
  log::warn("pair {}: somebody set txqueuelen {} on {}: put back to {}; the key txqueuelen sets it",
            pair.name, end.link.txqueuelen, subject(end), wanted);
}

void put_back_gro_list(const VethPair& pair, PairEnd& end) {
  if (!end.features.rx_gro_list) return;
  if (auto set = end.netns->links.clear_gro_list(end.link.name); !set)
    return log::warn("pair {}: {}", pair.name, set.error().text());
  log::warn("pair {}: somebody switched rx-gro-list on at {}, which no TAP can do: put back",
            pair.name, subject(end));
}

}  // namespace

void put_back(const VethPair& pair, PairEnd& end) {
  if (!end.tap) return;
  put_back_carrier(pair, end);
  put_back_noqueue(pair, end);
  put_back_txqueuelen(pair, end);
  put_back_gro_list(pair, end);
}

}  // namespace vethd

#include "daemon/netns/features.hpp"

#include <linux/ethtool.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "daemon/netns/ethtool.hpp"

namespace vethd {

using ethtool::kBlockBits;
using ethtool::mask;
using ethtool::Request;

Result<FeatureTable> FeatureTable::read(int socket, const std::string& ifname) {
  const auto names = ethtool::feature_names(socket, ifname);
  if (!names) return std::unexpected(names.error());
  FeatureTable table;
  table.blocks_ = ethtool::blocks(names->size());
  table.gro_ = ethtool::find(*names, "rx-gro");
  table.tso_ = {ethtool::find(*names, "tx-tcp-segmentation"),
                ethtool::find(*names, "tx-tcp6-segmentation"),
                ethtool::find(*names, "tx-tcp-ecn-segmentation"),
                ethtool::find(*names, "tx-tcp-mangleid-segmentation")};
  table.rx_udp_gro_forwarding_ = ethtool::find(*names, "rx-udp-gro-forwarding");
  table.rx_gro_list_ = ethtool::find(*names, "rx-gro-list");
  return table;
}

Result<Features> FeatureTable::get(int socket, const std::string& ifname) const {
  auto now = ethtool::feature_state(socket, ifname, blocks_);
  if (!now) return pass(std::move(now));
  return Features{
      .gro = now->active(gro_),
      .tso = std::ranges::any_of(tso_, [&](Bit bit) { return now->active(bit); }),
      .rx_udp_gro_forwarding = now->active(rx_udp_gro_forwarding_),
      .rx_gro_list = now->active(rx_gro_list_),
  };
}

Result<void> FeatureTable::set(int socket, const std::string& ifname,
                               const Features& wanted) const {
  auto now = ethtool::feature_state(socket, ifname, blocks_);
  if (!now) return pass(std::move(now));
  Request<ethtool_sfeatures, ethtool_set_features_block> request{
      {.cmd = ETHTOOL_SFEATURES, .size = blocks_}, blocks_};
  std::string lacking;
  const auto want = [&](bool on, std::span<const Bit> bits, const char* name) {
    bool can = false;
    for (const Bit bit : bits) {
      can |= now->changeable(bit) || (bit && now->active(bit) == on);
      if (!now->changeable(bit)) continue;
      ethtool_set_features_block& block = request.table()[*bit / kBlockBits];
      block.valid |= mask(*bit);
      if (on) block.requested |= mask(*bit);
    }
    if (on && !can) (lacking += lacking.empty() ? "" : ", ") += name;
  };
  want(wanted.gro, {&gro_, 1}, "rx-gro");
  want(wanted.tso, tso_, "tx-tcp-segmentation");
  want(wanted.rx_udp_gro_forwarding, {&rx_udp_gro_forwarding_, 1}, "rx-udp-gro-forwarding");
  want(wanted.rx_gro_list, {&rx_gro_list_, 1}, "rx-gro-list");
  if (!lacking.empty()) return fail({}, "it has no " + lacking, EOPNOTSUPP);
  // A positive answer says that not all that was requested is active now: see the declaration.
  if (auto sent = request.send(socket, ifname); !sent) return pass(std::move(sent));
  return {};
}

Result<void> FeatureTable::clear_gro_list(int socket, const std::string& ifname) const {
  if (!rx_gro_list_) return {};
  Request<ethtool_sfeatures, ethtool_set_features_block> request{
      {.cmd = ETHTOOL_SFEATURES, .size = blocks_}, blocks_};
  request.table()[*rx_gro_list_ / kBlockBits].valid = mask(*rx_gro_list_);
  if (auto sent = request.send(socket, ifname); !sent) return pass(std::move(sent));
  return {};
}

}  // namespace vethd

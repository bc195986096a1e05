#include "daemon/netns/ethtool.hpp"

#include <algorithm>
#include <utility>

namespace vethd::ethtool {
namespace {

constexpr std::uint32_t kMaxFeatures = 1024;  // the kernel has 64 to 128

}  // namespace

Result<std::vector<Name>> feature_names(int socket, const std::string& ifname) {
  Request<ethtool_sset_info, std::uint32_t> info{
      {.cmd = ETHTOOL_GSSET_INFO, .reserved = 0, .sset_mask = 1ULL << ETH_SS_FEATURES}, 1};
  if (auto sent = info.send(socket, ifname); !sent) return pass(std::move(sent));
  const std::uint32_t count = std::min(info.table().front(), kMaxFeatures);
  Request<ethtool_gstrings, Name> names{
      {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count}, count};
  if (auto sent = names.send(socket, ifname); !sent) return pass(std::move(sent));
  return std::vector<Name>(names.table().begin(), names.table().end());
}

Bit find(const std::vector<Name>& names, std::string_view wanted) {
  const auto at = std::ranges::find_if(names, [&](const Name& name) {
    return std::string_view(name.data(), ::strnlen(name.data(), name.size())) == wanted;
  });
  if (at == names.end()) return std::nullopt;
  return static_cast<std::uint32_t>(at - names.begin());
}

Result<FeatureState> feature_state(int socket, const std::string& ifname, std::uint32_t blocks) {
  Request<ethtool_gfeatures, ethtool_get_features_block> request{
      {.cmd = ETHTOOL_GFEATURES, .size = blocks}, blocks};
  if (auto sent = request.send(socket, ifname); !sent) return pass(std::move(sent));
  return FeatureState{{request.table().begin(), request.table().end()}};
}

Result<void> set_link_mode(int socket, const std::string& ifname, std::uint32_t mbit_per_s,
                           std::uint8_t duplex) {
  // Three masks of link modes follow the settings. Asked with none, the kernel answers how many
  // words each has, as a negative number.
  ethtool_link_settings question{};
  question.cmd = ETHTOOL_GLINKSETTINGS;
  if (auto sent = send(socket, ifname, &question); !sent) return pass(std::move(sent));
  const int words = -question.link_mode_masks_nwords;
  question.link_mode_masks_nwords = static_cast<std::int8_t>(words);
  Request<ethtool_link_settings, std::uint32_t> settings{question,
                                                         3 * static_cast<std::size_t>(words)};
  if (auto sent = settings.send(socket, ifname); !sent) return pass(std::move(sent));
  ethtool_link_settings& now = settings.head();
  if (now.speed == mbit_per_s && now.duplex == duplex) return {};
  now.cmd = ETHTOOL_SLINKSETTINGS;
  now.speed = mbit_per_s;
  now.duplex = duplex;
  if (auto sent = settings.send(socket, ifname); !sent) return pass(std::move(sent));
  return {};
}

}  // namespace vethd::ethtool

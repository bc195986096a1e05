#include "daemon/netns/features.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace vethd {
namespace {

constexpr std::uint32_t kBlockBits = 32;
constexpr std::uint32_t kMaxFeatures = 1024;  // the kernel has 64 to 128

/// An ethtool command: a fixed head and a table of elements that the kernel fills or reads.
template <class Head, class Element>
class Request {
 public:
  Request(Head head, std::size_t elements)
      : words_((sizeof head + elements * sizeof(Element) + sizeof(std::uint64_t) - 1) /
               sizeof(std::uint64_t)),
        elements_(elements) {
    std::memcpy(words_.data(), &head, sizeof head);
  }

  /// What the command answers, or the errno.
  Result<int> send(int socket, const std::string& ifname) {
    ifreq request{};
    ifname.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = reinterpret_cast<char*>(words_.data());
    const int answer = ::ioctl(socket, SIOCETHTOOL, &request);
    if (answer < 0) return fail({});
    return answer;
  }

  [[nodiscard]] std::span<Element> table() {
    auto* start = reinterpret_cast<std::byte*>(words_.data()) + sizeof(Head);
    return {reinterpret_cast<Element*>(start), elements_};
  }

 private:
  std::vector<std::uint64_t> words_;  // aligned for every head
  std::size_t elements_;
};

using Name = std::array<char, ETH_GSTRING_LEN>;

Result<std::vector<Name>> read_names(int socket, const std::string& ifname) {
  Request<ethtool_sset_info, std::uint32_t> info{
      {.cmd = ETHTOOL_GSSET_INFO, .reserved = 0, .sset_mask = 1ULL << ETH_SS_FEATURES}, 1};
  if (auto sent = info.send(socket, ifname); !sent) return pass(std::move(sent));
  const std::uint32_t count = std::min(info.table().front(), kMaxFeatures);
  Request<ethtool_gstrings, Name> names{
      {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count}, count};
  if (auto sent = names.send(socket, ifname); !sent) return pass(std::move(sent));
  return std::vector<Name>(names.table().begin(), names.table().end());
}

std::optional<std::uint32_t> find(const std::vector<Name>& names, std::string_view wanted) {
  const auto at = std::ranges::find_if(names, [&](const Name& name) {
    return std::string_view(name.data(), ::strnlen(name.data(), name.size())) == wanted;
  });
  if (at == names.end()) return std::nullopt;
  return static_cast<std::uint32_t>(at - names.begin());
}

std::uint32_t mask(std::uint32_t bit) { return 1U << bit % kBlockBits; }

}  // namespace

struct FeatureTable::State {
  std::vector<ethtool_get_features_block> blocks;

  [[nodiscard]] bool active(Bit bit) const {
    return bit && (blocks[*bit / kBlockBits].active & mask(*bit)) != 0;
  }
  [[nodiscard]] bool changeable(Bit bit) const {
    if (!bit) return false;
    const ethtool_get_features_block& block = blocks[*bit / kBlockBits];
    return (block.available & ~block.never_changed & mask(*bit)) != 0;
  }
};

Result<FeatureTable> FeatureTable::read(int socket, const std::string& ifname) {
  const auto names = read_names(socket, ifname);
  if (!names) return std::unexpected(names.error());
  FeatureTable table;
  table.blocks_ = (static_cast<std::uint32_t>(names->size()) + kBlockBits - 1) / kBlockBits;
  table.gro_ = find(*names, "rx-gro");
  table.tso_ = {find(*names, "tx-tcp-segmentation"), find(*names, "tx-tcp6-segmentation"),
                find(*names, "tx-tcp-ecn-segmentation"),
                find(*names, "tx-tcp-mangleid-segmentation")};
  table.rx_udp_gro_forwarding_ = find(*names, "rx-udp-gro-forwarding");
  table.rx_gro_list_ = find(*names, "rx-gro-list");
  return table;
}

Result<FeatureTable::State> FeatureTable::state(int socket, const std::string& ifname) const {
  Request<ethtool_gfeatures, ethtool_get_features_block> request{
      {.cmd = ETHTOOL_GFEATURES, .size = blocks_}, blocks_};
  if (auto sent = request.send(socket, ifname); !sent) return pass(std::move(sent));
  return State{{request.table().begin(), request.table().end()}};
}

Result<Features> FeatureTable::get(int socket, const std::string& ifname) const {
  auto now = state(socket, ifname);
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
  auto now = state(socket, ifname);
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

}  // namespace vethd

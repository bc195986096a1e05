// Questions to a device driver through SIOCETHTOOL.
#pragma once

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/result.hpp"

namespace vethd::ethtool {

/// Sends a command, whose struct the kernel fills. Errors: the ioctl's errno; doing is empty.
template <class Command>
Result<int> send(int socket, const std::string& ifname, Command* command) {
  ifreq request{};
  ifname.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(command);
  const int answer = ::ioctl(socket, SIOCETHTOOL, &request);
  if (answer < 0) return fail({});
  return answer;
}

/// A command with a fixed head and a table of elements that the kernel fills or reads.
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
    return ethtool::send(socket, ifname, words_.data());
  }

  [[nodiscard]] Head& head() { return *reinterpret_cast<Head*>(words_.data()); }
  [[nodiscard]] std::span<Element> table() {
    auto* start = reinterpret_cast<std::byte*>(words_.data()) + sizeof(Head);
    return {reinterpret_cast<Element*>(start), elements_};
  }

 private:
  std::vector<std::uint64_t> words_;  // aligned for every head
  std::size_t elements_;
};

using Name = std::array<char, ETH_GSTRING_LEN>;
using Bit = std::optional<std::uint32_t>;  // absent: this kernel does not know the name

/// The names of all features; a feature's number is its bit.
Result<std::vector<Name>> feature_names(int socket, const std::string& ifname);
Bit find(const std::vector<Name>& names, std::string_view wanted);

constexpr std::uint32_t kBlockBits = 32;
constexpr std::uint32_t mask(std::uint32_t bit) { return 1U << bit % kBlockBits; }
constexpr std::uint32_t blocks(std::size_t bits) {
  return (static_cast<std::uint32_t>(bits) + kBlockBits - 1) / kBlockBits;
}

/// What is on, and what could be changed.
struct FeatureState {
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

Result<FeatureState> feature_state(int socket, const std::string& ifname, std::uint32_t blocks);

/// Changes the link's speed and duplex where they differ, and nothing else.
Result<void> set_link_mode(int socket, const std::string& ifname, std::uint32_t mbit_per_s,
                           std::uint8_t duplex);

}  // namespace vethd::ethtool

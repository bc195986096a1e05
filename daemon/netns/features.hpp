// The offload switches of a device, as `ethtool -K` names them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "daemon/core/result.hpp"

namespace vethd {

/// What a veth's rules look at.
struct Features {
  bool gro = false;  // rx-gro
  bool tso = false;  // any of tx-tcp-segmentation, tx-tcp6-…, tx-tcp-ecn-…, tx-tcp-mangleid-…
  bool rx_udp_gro_forwarding = false;
  bool rx_gro_list = false;
  friend bool operator==(const Features&, const Features&) = default;
};

/// Where in the kernel's bitmaps these switches are: numbers that differ between kernels, found
/// once by their names.
///
/// Shape    ETHTOOL_GFEATURES and ETHTOOL_SFEATURES, bitmaps of 32-bit blocks.
/// Errors   the ioctl's errno. The caller says what it was doing: doing is empty.
class FeatureTable {
 public:
  /// socket: any of the device's namespace.
  static Result<FeatureTable> read(int socket, const std::string& ifname);

  [[nodiscard]] Result<Features> get(int socket, const std::string& ifname) const;

  /// Errors: EOPNOTSUPP for a switch the device does not have. One that it has and that something
  /// else holds off, as TUNSETOFFLOAD does with segmentation, stays requested.
  [[nodiscard]] Result<void> set(int socket, const std::string& ifname,
                                 const Features& wanted) const;

  [[nodiscard]] Result<void> clear_gro_list(int socket, const std::string& ifname) const;

 private:
  using Bit = std::optional<std::uint32_t>;  // absent: this kernel does not know the name

  std::uint32_t blocks_ = 0;
  Bit gro_;
  std::array<Bit, 4> tso_;
  Bit rx_udp_gro_forwarding_;
  Bit rx_gro_list_;
};

}  // namespace vethd

// A TAP device that looks like one end of a veth pair.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/result.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd {

/// What the stack may send to a TAP whole, beside TCP, where the kernel can.
struct SuperFrames {
  bool udp = true;         // USO
  bool udp_tunnel = true;  // in VXLAN, Geneve, FOU, ...
};

/// The device and its queues. It exists as long as a queue is open, in whatever namespace and under
/// whatever name its user puts it.
class Tap {
 public:
  /// Creates the device in ns, without carrier and administratively down, offloads as far as the
  /// kernel has them, all descriptors non-blocking: blocking writes could overtake each other.
  static Result<Tap> create(const Netns& ns, const std::string& ifname, unsigned queues,
                            const SuperFrames& wanted = {});

  [[nodiscard]] int queue(std::size_t index) const { return queues_[index].get(); }
  [[nodiscard]] std::size_t queues() const { return queues_.size(); }

  /// "csum", "tso4", …: what the stack may leave undone on frames it sends here.
  [[nodiscard]] std::vector<std::string> offloads() const;

  /// Whether a UDP super-frame may be written here: from Linux 6.2 on, else EINVAL.
  [[nodiscard]] bool takes_udp_super_frames() const;

  Result<void> set_carrier(bool on);

  /// Bytes of the header in front of each frame, read or written: vnet.hpp. For good.
  [[nodiscard]] std::uint32_t vnet_bytes() const { return vnet_bytes_; }

  /// Whether the stack may send frames of many segments here (TUNSETOFFLOAD): as far as they
  /// were wanted and the kernel can, or not at all.
  ///
  /// Emulates  veth_fix_features(): a device whose peer has an XDP program loses its software GSO.
  Result<void> set_segmentation(bool on);

  /// The name it has now (TUNGETIFF). Errors: EBADFD once the device is deleted.
  [[nodiscard]] Result<std::string> current_name() const;
  /// The namespace it is in now (TUNGETDEVNETNS).
  [[nodiscard]] Result<Fd> current_netns() const;

 private:
  Tap(std::vector<Fd> queues, std::string ifname)
      : queues_(std::move(queues)), ifname_(std::move(ifname)) {}
  Result<void> set_offloads(unsigned offloads);
  Result<void> probe_offloads();

  std::vector<Fd> queues_;
  unsigned possible_ = 0;  // TUN_F_*: what this kernel has
  unsigned wanted_ = 0;    // of those: with segmentation
  unsigned offloads_ = 0;  // of those: what is on
  std::uint32_t vnet_bytes_ = 0;
  std::string ifname_;  // as created, for messages: "red/veth0"
};

}  // namespace vethd

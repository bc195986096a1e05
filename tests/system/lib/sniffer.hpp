// What a device hands to its stack and takes from it, with everything a packet socket can tell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "tests/system/lib/crafted.hpp"
#include "tests/system/lib/packet.hpp"

namespace vethd::system_test {

struct Captured {
  Frame bytes;  // a VLAN tag that the kernel took out is put back in
  VnetHeader vnet{};
  std::uint8_t pkttype = 0;    // PACKET_*
  std::uint16_t protocol = 0;  // host order
  std::uint32_t status = 0;    // TP_STATUS_*
};

class Sniffer {
 public:
  Sniffer(const std::string& netns, const std::string& ifname);

  /// Takes in what has come so far.
  void read();

  [[nodiscard]] const std::vector<Captured>& received() const { return received_; }
  /// Frames given to the device: after segmentation, before the device drops any.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }

 private:
  Fd socket_;
  std::vector<Captured> received_;
  std::uint64_t sent_ = 0;
};

}  // namespace vethd::system_test

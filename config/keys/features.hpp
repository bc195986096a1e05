// The offloads that a pair gives to both ends, and an end to itself.
#pragma once

#include "config/keys/readers.hpp"

namespace vethd::config {

constexpr KeyInfo feature_key(std::string_view name, std::string_view standard,
                              std::string_view help) {
  return {.name = name,
          .unit = "boolean",
          .standard = standard,
          .example = standard,
          .rule = "write true or false",
          .help = help};
}
constexpr KeyInfo kGro = feature_key(
    "gro", "false", "merge what arrives here into super-frames; from 6.1, not with xdp");
constexpr KeyInfo kTso =
    feature_key("tso", "true", "send super-frames of TCP; without, the stack segments them");
constexpr KeyInfo kRxUdpGroForwarding =
    feature_key("rx_udp_gro_forwarding", "false",
                "with gro: merge UDP that no local socket asked to merge; from 6.1");
constexpr KeyInfo kRxGroList = {.name = "rx_gro_list",
                                .unit = "boolean",
                                .standard = "false",
                                .example = "false",
                                .rule = "write false; rx_udp_gro_forwarding has an encoding",
                                .help =
                                    "cannot be had: frames of a list stay apart, and a "
                                    "virtio-net header knows no list"};

inline void read_rx_gro_list(const Given& given) {
  const auto* flag = std::get_if<bool>(&given.value.data);
  if (flag == nullptr) return given.refuse_kind(given.value);
  if (*flag) {
    given.refuse(
        "rx_gro_list = true: aggregation by list has no encoding in a virtio-net header, with "
        "which frames enter a TAP");
  }
}

}  // namespace vethd::config

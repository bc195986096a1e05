// Ethernet addresses that are the same at each start.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/schema.hpp"
#include "daemon/core/mac.hpp"

namespace vethd {

/// What tells this host from others.
struct HostKey {
  std::uint64_t low = 0, high = 0;
};

/// From machine-id(5), which stays through every boot. Where there is none, as in many containers:
/// from the boot's id and the host's name, which stay until the next boot.
HostKey host_key();

/// As host_key(), of these texts; an empty machine_id: there is none.
HostKey host_key(std::string_view machine_id, std::string_view boot_id, std::string_view host_name);

/// The address of an end: locally administered, unicast, and the same for the same host, control
/// socket, pair and side. The socket tells the daemons of a host apart.
///
/// Emulates  nothing: a veth's is random at each creation, and its peers see a new one. systemd's
///           MACAddressPolicy=persistent does the same for devices it names.
MacAddress stable_mac(HostKey host, std::string_view control_socket, std::string_view pair,
                      Side side);

/// Gives one to each TAP whose `mac` is left out.
void give_macs(config::Config& config, HostKey host);

}  // namespace vethd

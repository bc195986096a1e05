// The janitor's own process, and what is said between it and the daemon.
#pragma once

#include <cstdint>

#include "daemon/netns/janitor_list.hpp"

namespace vethd {

/// One message of a socket pair; SOCK_SEQPACKET keeps it whole. `put` of vlan_stripping brings a
/// descriptor with it, the device's.
struct JanitorRequest {
  enum class Op : std::uint8_t { put, erase };
  Op op{};
  JanitorItem item;  // erase: its number alone
};

/// One for each request. After the last one: one for each item that stays, and one that ends them.
struct JanitorReply {
  int code = 0;      // errno; 0: done
  JanitorItem item;  // what stays
};

/// Everything between fork() and the end of the process. list: what it takes over.
[[noreturn]] void run_janitor(int socket, JanitorList list);

}  // namespace vethd

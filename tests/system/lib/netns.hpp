// Network namespaces and their links, made and read through ip(8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/core/panic.hpp"

namespace vethd::system_test {

/// Opens a named namespace; std::runtime_error when there is none.
Fd open_netns(const std::string& name);

/// Where the calling thread is now.
Fd home_netns();

/// Moves the calling thread only.
void enter_netns(const Fd& netns);

/// Runs fn in the named namespace. A socket opened there stays there, whichever thread uses it.
template <class Fn>
auto inside(const std::string& netns, Fn&& fn) -> decltype(fn()) {
  struct Return {
    Fd home = home_netns();
    ~Return() {
      enter_netns(home);
    }  // throws never: a thread in the wrong namespace must not go on
  } on_exit;
  enter_netns(open_netns(netns));
  return fn();
}

/// A named namespace with lo up, removed with the object. Holds no descriptor, so that a test can
/// delete the namespace underneath its users.
class Netns {
 public:
  explicit Netns(std::string name);
  Netns(const Netns&) = delete;
  Netns& operator=(const Netns&) = delete;
  ~Netns();

 private:
  std::string name_;
};

bool netns_exists(const std::string& name);

/// ip("-n red link set veth0 up"); std::runtime_error with ip's own words when it fails.
std::string ip(std::string_view arguments);

/// sysctl -w inside the namespace.
void set_sysctl(const std::string& netns, const std::string& key, const std::string& value);

struct Link {
  bool exists = false;
  bool up = false;        // IFF_UP
  bool carrier = false;   // IFF_LOWER_UP
  std::string operstate;  // RFC 2863, as ip prints it
  std::string mac;
  std::string qdisc;
  unsigned mtu = 0;
  unsigned ifindex = 0;
  std::uint64_t tx_dropped = 0;
  std::string kind;  // "tun", "veth", ...; empty for hardware
  std::uint64_t xdp_id = 0;
};

Link link_of(const std::string& netns, const std::string& ifname);

/// `bpftool link detach`: takes a program off its device behind the back of whoever holds the link.
void detach_xdp_by_force(const std::string& netns, const std::string& ifname);

/// Names of all TUN/TAP devices; none when the namespace is gone. Empty netns: ours.
std::vector<std::string> taps_in(const std::string& netns);

}  // namespace vethd::system_test

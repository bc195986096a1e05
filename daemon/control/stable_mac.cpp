#include "daemon/control/stable_mac.hpp"

#include <unistd.h>

#include <array>
#include <fstream>
#include <initializer_list>
#include <string>

#include "daemon/pipeline/siphash.hpp"

namespace vethd {
namespace {

// gethostname(2): 64 bytes and an end on Linux.
constexpr std::size_t kHostNameBytes = 65;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Of texts that each end with a byte of 0, so that no two lists of them look alike.
std::uint64_t hash(HostKey key, std::initializer_list<std::string_view> texts) {
  SipHash hash(key.low, key.high);
  std::uint64_t word = 0;
  unsigned shift = 0;
  const auto byte = [&](std::uint8_t value) {
    word |= std::uint64_t{value} << shift;
    shift += 8;
    if (shift < 64) return;
    hash.word(word);
    word = 0;
    shift = 0;
  };
  for (const std::string_view text : texts) {
    for (const char letter : text) byte(static_cast<std::uint8_t>(letter));
    byte(0);
  }
  hash.word(word);
  return hash.finish();
}

}  // namespace

HostKey host_key(std::string_view machine_id, std::string_view boot_id,
                 std::string_view host_name) {
  const auto key = [&](std::initializer_list<std::string_view> texts) {
    return HostKey{.low = hash({.low = 0, .high = 0}, texts),
                   .high = hash({.low = 0, .high = 1}, texts)};
  };
  // "uninitialized": what systemd writes there in the first boot of an image.
  if (!machine_id.empty() && machine_id != "uninitialized") return key({machine_id});
  return key({boot_id, host_name});
}

HostKey host_key() {
  std::array<char, kHostNameBytes> name{};
  static_cast<void>(::gethostname(name.data(), name.size() - 1));
  return host_key(first_line("/etc/machine-id"), first_line("/proc/sys/kernel/random/boot_id"),
                  name.data());
}

MacAddress stable_mac(HostKey host, std::string_view control_socket, std::string_view pair,
                      Side side) {
  const std::uint64_t bits =
      hash(host, {"vethd mac", control_socket, pair, side == Side::a ? "a" : "b"});
  MacAddress mac;
  for (std::size_t i = 0; i < mac.bytes.size(); ++i)
    mac.bytes[i] = static_cast<std::uint8_t>(bits >> (8 * i));
  // include/linux/etherdevice.h: eth_random_addr().
  mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & 0xfe) | 0x02);
  return mac;
}

void give_macs(config::Config& config, HostKey host) {
  for (config::Pair& pair : config.pairs)
    for (const Side side : {Side::a, Side::b}) {
      config::End& end = side == Side::a ? pair.a : pair.b;
      if (end.driver == config::Driver::tap && !end.mac)
        end.mac = stable_mac(host, config.daemon.control_socket, pair.name, side);
    }
}

}  // namespace vethd

// What outlives the daemon and how it is removed: known to the daemon and to its janitor alike.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/core/fd.hpp"
#include "daemon/netns/file_id.hpp"

namespace vethd {

/// One thing to remove or to restore. Trivially copyable: it is sent from process to process.
struct JanitorItem {
  enum class Kind : std::uint8_t {
    netns,          // a name in /run/netns: exactly netns, mounted on exactly file
    socket,         // at path; exactly file, once that is known
    directory,      // at path, if it is empty
    vlan_stripping  // of a device, to be switched on; path says where it was
  };
  static constexpr std::size_t kMaxPathBytes = 255;

  Kind kind{};
  std::uint32_t number = 0;  // its registration
  FileId netns;
  FileId file;
  std::array<char, kMaxPathBytes + 1> path{};
};

/// "remove /run/netns/red", "switch VLAN stripping on again at red/#3"
std::string what_to_do(const JanitorItem& item);

class JanitorList {
 public:
  struct Entry {
    JanitorItem item;
    Fd device;  // vlan_stripping: a packet socket bound to it
  };

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  /// nullptr: no longer there.
  [[nodiscard]] Entry* find(std::uint32_t number);
  /// Adds it as the newest, its number being higher than all others, or replaces what is known of
  /// that number.
  void put(const JanitorItem& item, Fd device);
  void erase(std::uint32_t number);

  /// Removes and restores all, newest first. Calls failed(item, errno) for each that stays.
  void carry_out(const std::function<void(const JanitorItem&, int)>& failed);

 private:
  std::vector<Entry> entries_;  // oldest first, and so by number
};

}  // namespace vethd

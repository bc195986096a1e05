#include "daemon/netns/janitor_list.hpp"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/core/panic.hpp"
#include "daemon/netns/named.hpp"
#include "daemon/netns/nic.hpp"

namespace vethd {
namespace {

// A device renamed between two questions is asked for its name again.
constexpr int kRenameTries = 8;

/// Of the device a packet socket is bound to, whatever its name is by now. When a device goes, or
/// leaves its namespace, the kernel takes the socket off it: packet_notifier(), NETDEV_UNREGISTER.
int switch_vlan_stripping_on(int socket) {
  for (int tries = 0; tries < kRenameTries; ++tries) {
    sockaddr_ll bound{};
    socklen_t size = sizeof bound;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) < 0) return errno;
    if (bound.sll_ifindex <= 0) return 0;
    ifreq name{};
    name.ifr_ifindex = bound.sll_ifindex;
    if (::ioctl(socket, SIOCGIFNAME, &name) < 0) return errno == ENODEV ? 0 : errno;
    const Result<void> set = set_vlan_stripping(socket, name.ifr_name, true);
    if (set) return 0;
    if (set.error().code != ENODEV) return set.error().code;
  }
  return EBUSY;
}

int remove_socket(const char* path, const FileId& file) {
  struct stat st{};
  if (::lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) return 0;
  const bool known = file != FileId{};
  if (known && file != FileId{.device = st.st_dev, .inode = st.st_ino}) return 0;
  return ::unlink(path) < 0 ? errno : 0;
}

int carry_out_one(const JanitorItem& item, const Fd& device) {
  const char* path = item.path.data();
  switch (item.kind) {
    case JanitorItem::Kind::netns: {
      const Result<void> removed = remove_named({path, item.netns, item.file});
      return removed ? 0 : removed.error().code;
    }
    case JanitorItem::Kind::socket:
      return remove_socket(path, item.file);
    case JanitorItem::Kind::directory:
      // Not empty: somebody else uses it by now.
      return ::rmdir(path) < 0 && errno != ENOENT && errno != ENOTEMPTY ? errno : 0;
    case JanitorItem::Kind::vlan_stripping:
      return switch_vlan_stripping_on(device.get());
  }
  panic("an item of the janitor's list is of a kind it knows");
}

}  // namespace

std::string what_to_do(const JanitorItem& item) {
  const std::string name = item.path.data();
  if (item.kind == JanitorItem::Kind::netns) return "remove " + netns_path(name);
  if (item.kind == JanitorItem::Kind::vlan_stripping)
    return "switch VLAN stripping on again at " + name;
  return "remove " + name;
}

JanitorList::Entry* JanitorList::find(std::uint32_t number) {
  const auto entry = std::ranges::lower_bound(entries_, number, {},
                                              [](const Entry& known) { return known.item.number; });
  return entry == entries_.end() || entry->item.number != number ? nullptr : &*entry;
}

void JanitorList::put(const JanitorItem& item, Fd device) {
  if (Entry* known = find(item.number)) {
    known->item = item;
  } else {
    entries_.push_back({.item = item, .device = std::move(device)});
  }
}

void JanitorList::erase(std::uint32_t number) {
  if (const Entry* known = find(number))
    entries_.erase(entries_.begin() + (known - entries_.data()));
}

void JanitorList::carry_out(const std::function<void(const JanitorItem&, int)>& failed) {
  for (; !entries_.empty(); entries_.pop_back()) {
    const Entry& newest = entries_.back();
    if (const int code = carry_out_one(newest.item, newest.device); code != 0)
      failed(newest.item, code);
  }
}

}  // namespace vethd

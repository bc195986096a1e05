#include "daemon/control/namespaces.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "daemon/netns/keepers.hpp"
#include "daemon/process/log.hpp"

namespace vethd {
namespace {

// How often namespaces without a name are looked at again. Costs nothing while all have one.
constexpr std::chrono::milliseconds kRecheck{2000};
// Mounts change in bursts; one look serves all of a burst.
constexpr std::chrono::milliseconds kSettle{50};
// Messages are read in bounded pieces; so many pieces before the loop serves others again.
constexpr int kReadsPerEvent = 64;

/// As a user would name it: NAME for what `ip netns` shows, else the place, else the inode.
std::string label_of(int fd) {
  struct stat st{};
  ::fstat(fd, &st);
  const auto mounted = mounted_namespaces();
  if (mounted && mounted->contains(st.st_ino)) {
    const std::filesystem::path place(mounted->at(st.st_ino));
    return place.parent_path() == "/run/netns" ? place.filename().string() : place.string();
  }
  return "net:[" + std::to_string(st.st_ino) + "]";
}

NetnsId own_namespace() {
  struct stat st{};
  ::stat("/proc/self/ns/net", &st);
  return {.device = st.st_dev, .inode = st.st_ino};
}

}  // namespace

Namespaces::Namespaces(Loop& loop, Janitor& janitor, bool create, OnLink on_link,
                       OnOrphan on_orphan)
    : loop_(loop),
      janitor_(janitor),
      create_(create),
      on_link_(std::move(on_link)),
      on_orphan_(std::move(on_orphan)),
      own_(own_namespace()),
      mountinfo_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {
  if (mountinfo_.is_open())
    mounts_changed_ =
        loop_.watch(mountinfo_.get(), Loop::Event::exceptional, [this] { check_soon(kSettle); });
}

Result<std::shared_ptr<HeldNetns>> Namespaces::find(const config::NetnsRef& ref) {
  auto netns = Netns::open(ref);
  if (!netns && netns.error().code == ENOENT && ref.kind == config::NetnsRef::Kind::name &&
      create_) {
    netns = create_named(ref.text, [this](const NamedNetns& named) -> Result<void> {
      auto registered = janitor_.will_create_netns(named);
      if (!registered) return pass(std::move(registered));
      made_[named.netns] = {.registration = *registered, .held = nullptr};
      return {};
    });
    if (netns) log::info("created network namespace {}", ref.text);
  }
  if (!netns) return pass(std::move(netns));
  auto held = hold(std::move(*netns), /*kept=*/true);
  // Perhaps the only way to it: /proc/PID/fd/N, or a mount in somebody's mount namespace.
  if (held && ref.kind == config::NetnsRef::Kind::path) (*held)->keeper = ref.text;
  return held;
}

Result<std::shared_ptr<HeldNetns>> Namespaces::adopt(Fd fd) {
  std::string label = label_of(fd.get());
  auto netns = Netns::adopt(std::move(fd), std::move(label));
  if (!netns) return pass(std::move(netns));
  const auto mounted = mounted_namespaces();
  const bool kept = mounted && mounted->contains(netns->id().inode);
  return hold(std::move(*netns), kept);
}

Result<std::shared_ptr<HeldNetns>> Namespaces::hold(Netns netns, bool kept) {
  const NetnsId id = netns.id();
  if (auto known = held_[id].lock()) return known;
  auto links = Links::open(netns);
  if (!links) return pass(std::move(links));
  auto monitor = LinkMonitor::open(netns);
  if (!monitor) return pass(std::move(monitor));
  auto held = std::make_shared<HeldNetns>(std::move(netns), std::move(*links), std::move(*monitor),
                                          nullptr, kept);
  held->watch = loop_.watch(held->monitor->fd(), Loop::Event::readable,
                            [this, raw = held.get()] { read_events(*raw); });
  held_[id] = held;
  if (const auto made = made_.find(id); made != made_.end()) made->second.held = held;
  check_soon(kSettle);
  return held;
}

void Namespaces::stop_listening() {
  for (const auto& [id, weak] : held_) {
    const auto held = weak.lock();
    if (held == nullptr) continue;
    held->watch.reset();
    held->monitor.reset();
  }
}

void Namespaces::check_soon(std::chrono::milliseconds delay) {
  recheck_ = loop_.after(delay, [this] { check_orphans(); });
}

void Namespaces::read_events(HeldNetns& held) {
  const auto alive = held_[held.netns.id()].lock();  // an event may let the last end go
  for (int i = 0; i < kReadsPerEvent; ++i) {
    // A change makes us look at the device as it is now: one look serves all that have waited.
    std::vector<LinkEvent> events;
    std::unordered_set<int> changed;
    const auto more = held.monitor->read([&](const LinkEvent& event) {
      // But not before it was gone: what comes after that may be news of another.
      const bool is_change = event.kind == LinkEvent::Kind::changed;
      if (!is_change) changed.erase(event.link.ifindex);
      if (!is_change || changed.insert(event.link.ifindex).second) events.push_back(event);
    });
    for (const LinkEvent& event : events) on_link_(held, event);
    if (!more) log::error("{}", more.error().text());
    if (!more || !*more) return;
  }
}

/// Whether a process has it open or mounted.
bool Namespaces::is_reachable(HeldNetns& held) {
  const NetnsId id = held.netns.id();
  if (!held.keeper.empty() && leads_to(held.keeper, id)) return true;
  // What nothing was seen to keep is looked for once: it costs a walk over all processes.
  if (!held.kept && std::exchange(held.looked, true)) return false;
  held.keeper = path_to_namespace(id).value_or("");
  return !held.keeper.empty();
}

void Namespaces::check_orphans() {
  const auto mounted = mounted_namespaces();
  if (!mounted) return check_soon(kRecheck);
  std::vector<std::shared_ptr<HeldNetns>> nameless;
  std::erase_if(held_, [&](const auto& entry) {
    auto held = entry.second.lock();
    if (held == nullptr) return true;
    const bool named = mounted->contains(entry.first.inode);
    held->kept = held->kept || named;
    if (!named && entry.first != own_) nameless.push_back(std::move(held));
    return false;
  });
  if (nameless.empty()) return;
  check_soon(kRecheck);
  const auto inhabited = inhabited_namespaces();
  if (!inhabited) return;
  for (const auto& held : nameless) {
    const NetnsId id = held->netns.id();
    if (inhabited->contains(id.inode) || is_reachable(*held)) {
      held->kept = true;
      continue;
    }
    // Never seen with any of them: others keep it in ways that cannot be seen from here.
    if (!held->kept) continue;
    // Its inode number goes to somebody else's namespace next.
    if (const auto made = made_.find(id); made != made_.end()) {
      if (auto withdrawn = janitor_.withdraw(made->second.registration); !withdrawn)
        log::warn("{}", withdrawn.error().text());
      made_.erase(made);
    }
    on_orphan_(*held);
  }
}

}  // namespace vethd

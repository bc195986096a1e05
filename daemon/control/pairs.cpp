#include "daemon/control/pairs.hpp"

#include <sys/random.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "daemon/control/hooks.hpp"
#include "daemon/control/upkeep.hpp"
#include "daemon/core/panic.hpp"
#include "daemon/netns/announce.hpp"
#include "daemon/process/log.hpp"

namespace vethd {
namespace {

constexpr Side kSides[] = {Side::a, Side::b};

// A device that moves and is renamed in one go is found at the second look; one that keeps moving,
// later.
constexpr int kFollowTries = 8;
constexpr std::chrono::milliseconds kRetryDelay{100};
constexpr std::size_t kMaxRetries = 1024;

// From carrier to IFF_RUNNING the kernel takes a second at most: linkwatch_schedule_work(), HZ.
constexpr std::chrono::milliseconds kRunningDeadline{10'000};

// A closed socket's queue goes on receiving into its chunks until a kernel thread has stopped it,
// some milliseconds later: xp_release_deferred(). Nothing tells when.
constexpr std::chrono::milliseconds kQueueRelease{1000};

// Until a program that comes or goes by a BPF link is noticed: nothing tells.
constexpr std::chrono::milliseconds kProgramCheck{500};

/// Link groups are 32-bit numbers shared by everybody; users take small ones. Chance keeps the
/// devices of several daemons in one namespace apart; pids would not, across pid namespaces.
std::uint32_t link_group() {
  std::uint32_t chance = 0;
  static_cast<void>(!::getrandom(&chance, sizeof chance, 0));
  return 0x76000000U | (chance & 0x00ffffffU);
}

struct Whereabouts {
  std::shared_ptr<HeldNetns> netns;
  LinkState link;
};

Result<Whereabouts> whereabouts(Namespaces& namespaces, const Tap& tap, const std::string& name) {
  auto fd = tap.current_netns();
  if (!fd) return pass(std::move(fd));
  auto netns = namespaces.adopt(std::move(*fd));
  if (!netns) return pass(std::move(netns));
  auto link = (*netns)->links.find(name);
  if (!link) return pass(std::move(link));
  return Whereabouts{.netns = std::move(*netns), .link = std::move(*link)};
}

}  // namespace

std::string subject(const PairEnd& end) {
  return end.netns->netns.label() + "/" +
         (end.link.name.empty() ? end.config.ifname : end.link.name);
}

Pairs::Pairs(Loop& loop, Janitor& janitor, WorkerSet& workers, bool create_netns, NicMemory memory,
             std::vector<const Rules*> rules)
    : loop_(loop),
      janitor_(janitor),
      memory_(std::move(memory)),
      workers_(workers),
      namespaces_(
          loop, janitor, create_netns,
          [this](HeldNetns& netns, const LinkEvent& event) { on_link(netns, event); },
          [this](const HeldNetns& netns) { on_orphan(netns); }),
      group_(link_group()),
      rules_(std::move(rules)) {
  workers_.on_notice([this](const FailureNotice& notice) { on_notice(notice); });
  workers_.on_look_again([this](LookAgain question) { on_look_again(question); });
  check_programs();
}

Pairs::~Pairs() { close(); }

void Pairs::open(const config::Pair& config, std::function<void(Result<void>)> done) {
  auto pair = std::make_unique<VethPair>();
  pair->id = {static_cast<std::uint32_t>(pairs_.size())};
  pair->name = config.name;
  pair->machine = config.machine;
  pair->rules = rules_[config.machine.value];
  pair->coalesce = config.coalesce;
  pair->end(Side::a).config = config.a;
  pair->end(Side::b).config = config.b;
  for (const Side side : kSides)
    if (auto created = open_end(*pair, side); !created) return done(created);
  if (auto attached = attach_programs(*pair); !attached) return done(attached);
  for (const Side side : kSides)
    if (auto fitted = fit_segmentation(*pair, side); !fitted) return done(fitted);
  VethPair& opened = *pairs_.emplace_back(std::move(pair));
  for (const Side side : kSides) {
    const PairEnd& end = opened.end(side);
    places_[{end.netns->netns.id(), end.link.ifindex}] = {.pair = opened.id, .side = side};
  }
  opened.opened = std::move(done);
  add_to_workers(opened, [this, &opened](Result<void> added) {
    if (!added) return finish_open(opened, std::move(added));
    opened.added = true;
    bring_up(opened);
  });
}

void Pairs::finish_open(VethPair& pair, Result<void> outcome) {
  if (const auto opened = std::exchange(pair.opened, nullptr)) opened(std::move(outcome));
}

Result<void> Pairs::open_end(VethPair& pair, Side side) {
  PairEnd& end = pair.end(side);
  auto netns = namespaces_.find(end.config.netns);
  if (!netns) return pass(std::move(netns));
  end.netns = std::move(*netns);
  if (end.config.driver == config::Driver::tap) {
    // A network card's frames would have to be split here; the sender's stack can do that as well.
    const bool for_card = pair.end(peer_of(side)).config.driver == config::Driver::af_xdp;
    return create_tap(end, {.udp = pair.rules->has_gso_udp_l4, .udp_tunnel = !for_card});
  }
  return take_nic(end, memory_.first_chunks[pair.id.value][index_of(side)]);
}

Result<void> Pairs::take_nic(PairEnd& end, const NicMemory::FirstChunks& first_chunks) {
  auto link = end.netns->links.find(end.config.ifname);
  if (!link) return pass(std::move(link));
  end.link = std::move(*link);
  end.features = {.gro = end.config.gro,
                  .tso = false,  // whatever arrives is a frame of its own
                  .rx_udp_gro_forwarding = end.config.rx_udp_gro_forwarding,
                  .rx_gro_list = false};
  return open_nic(end, janitor_, memory_.arena, first_chunks);
}

Result<void> Pairs::create_tap(PairEnd& end, const SuperFrames& super_frames) {
  auto tap = Tap::create(end.netns->netns, end.config.ifname, end.config.queues, super_frames);
  if (!tap) return pass(std::move(tap));
  end.tap = std::move(*tap);
  if (end.config.rx_udp_gro_forwarding && !end.tap->takes_udp_super_frames())
    return fail("aggregate UDP for " + subject(end),
                "leave rx_udp_gro_forwarding out: TAPs take UDP super-frames from Linux 6.2 on",
                EOPNOTSUPP);
  Links& links = end.netns->links;
  auto link = links.find(end.config.ifname);
  if (!link) return pass(std::move(link));
  end.link = std::move(*link);
  // As a fresh veth is, and a fresh TAP is not: no qdisc, GRO only when asked for, and fast.
  if (auto set = links.set_noqueue(end.link.ifindex); !set) return set;
  const Features features{.gro = end.config.gro,
                          .tso = end.config.tso,
                          .rx_udp_gro_forwarding = end.config.rx_udp_gro_forwarding,
                          .rx_gro_list = false};  // no vnet header says such a frame
  if (auto set = links.set_features(end.config.ifname, features); !set) return set;
  if (auto set = links.set_speed(end.config.ifname); !set) return set;
  return links.configure(end.link.ifindex, {.up = {},
                                            .mtu = end.config.mtu,
                                            .mac = end.config.mac,
                                            .txqueuelen = end.config.txqueuelen,
                                            .group = group_,
                                            .name = {}});
}

/// What a real path would have merged by now: a card's stack does, before anything else sees the
/// frames that AF_XDP takes from it. It merges UDP only for those who ask.
Merge Pairs::merge_of(const VethPair& pair, const PairEnd& sender) {
  switch (pair.coalesce) {
    case config::Coalesce::automatic:
      return sender.nic && !sender.software && sender.device_gro ? Merge::tcp : Merge::none;
    case config::Coalesce::off:
      return Merge::none;
    case config::Coalesce::always:
      return Merge::tcp_and_udp;
  }
  return Merge::none;
}

Device Pairs::device_of(const VethPair& pair, Side side) const {
  const PairEnd& end = pair.end(side);
  Device device;
  device.ifindex = static_cast<std::uint32_t>(end.link.ifindex);
  device.netns = std::hash<NetnsId>{}(end.netns->netns.id());
  device.mtu = end.link.mtu;
  device.running = end.nic ? end.link.running && end.steered : end.link.up;
  device.dev_addr = end.link.mac;
  device.real_num_rx_queues = static_cast<std::uint16_t>(end.config.queues);
  device.tso = end.features.tso;
  device.gro = end.features.gro;
  // A TAP that cannot take UDP super-frames would refuse each of them; for a card they are split.
  const bool udp_super_frames = end.nic || end.tap->takes_udp_super_frames();
  device.rx_udp_gro_forwarding = end.features.rx_udp_gro_forwarding && udp_super_frames;
  device.has_xdp = runs_xdp(pair, side);
  device.rps_cpus = end.config.rps_cpus;
  device.rps_flow_cnt = end.config.rps_flow_cnt;
  device.has_qdisc = end.tap && end.link.qdisc != "noqueue";
  device.coalesce = merge_of(pair, end);
  // A program must see each frame as it was sent, whoever runs it.
  if (!has_program(end)) device.takes_merged = udp_super_frames ? Merge::tcp_and_udp : Merge::tcp;
  device.plain_frames = end.nic.has_value();
  device.mute_checksums = end.software;
  device.mark = end.config.metadata.mark;
  device.priority = end.config.metadata.priority;
  device.classid = end.config.metadata.classid;
  return device;
}

void Pairs::add_to_workers(VethPair& pair, std::function<void(Result<void>)> done) {
  const std::size_t workers = workers_.size();
  workers_.ask(
      [this, &pair, workers](CpuId worker) -> WorkerSet::What {
        AddPair mail{.pair = pair.id,
                     .machine = pair.machine,
                     .a = device_of(pair, Side::a),
                     .b = device_of(pair, Side::b),
                     .endpoints = {},
                     .can_ask = true};
        for (const Side side : kSides) {
          PairEnd& end = pair.end(side);
          for (std::uint32_t i = 0; i < end.config.queues; ++i) {
            const CpuId owner = owner_of(pair.id, i, workers);
            mail.endpoints.push_back({.fd = end.tap ? end.tap->queue(i) : -1,
                                      .vnet_bytes = end.tap ? end.tap->vnet_bytes() : 0,
                                      .path = path_from(pair.id, side),
                                      .queue = {static_cast<std::uint16_t>(i)},
                                      .owner = owner,
                                      .reads = owner == worker,
                                      .xsk = end.nic ? &end.nic->socket(i) : nullptr,
                                      .shared = end.tap.has_value()});
          }
        }
        return mail;
      },
      [done = std::move(done)](const std::vector<MailAnswer>& answers) {
        done(first_failure(answers));
      });
}

void Pairs::bring_up(VethPair& pair) {
  for (const Side side : kSides) {
    PairEnd& end = pair.end(side);
    const auto begun =
        end.nic ? end.nic->receive() : end.netns->links.configure(end.link.ifindex, {.up = true});
    if (!begun) return finish_open(pair, begun);
  }
  auto a = look(pair, Side::a);
  if (!a) return finish_open(pair, pass(std::move(a)));
  auto b = look(pair, Side::b);
  if (!b) return finish_open(pair, pass(std::move(b)));
  refresh(pair, Side::a, *a);
  pair.deadline = loop_.after(kRunningDeadline, [&pair] {
    finish_open(
        pair,
        fail("wait for pair " + pair.name + " to run",
             "its devices must stay up while vethd starts, network cards with carrier", ETIMEDOUT));
  });
  refresh(pair, Side::b, *b);
}

void Pairs::finish_when_running(VethPair& pair) {
  // Carrier alone is not enough: until the kernel's link watch has seen it, the stack drops what
  // it should send. Before Linux 6.13 looking at the device does not wait for the link watch.
  if (!pair.opened || !pair.carrier()) return;
  for (const Side side : kSides) {
    const auto link = look(pair, side);
    if (!link || !link->running) return;
  }
  finish_open(pair, add_addresses(pair));
}

Result<LinkState> Pairs::look(VethPair& pair, Side side) {
  return pair.end(side).netns->links.get(pair.end(side).link.ifindex);
}

Result<void> Pairs::add_addresses(VethPair& pair) {
  for (const Side side : kSides) {
    PairEnd& end = pair.end(side);
    for (const config::Address& address : end.config.addresses)
      if (auto added = end.netns->links.add_address(end.link.ifindex, address); !added)
        return added;
    // Hosts behind a card may remember who had these addresses before. The far end of two TAPs is
    // as new as this one: nobody there remembers, and a veth does not announce itself either.
    if (!end.tap || !pair.end(peer_of(side)).nic) continue;
    if (auto sent =
            announce(end.netns->netns, end.link.ifindex, end.link.mac, end.config.addresses);
        !sent)
      log::warn("pair {}: {}", pair.name, sent.error().text());  // they find out by themselves
  }
  return {};
}

void Pairs::on_link(HeldNetns& netns, const LinkEvent& event) {
  if (event.kind == LinkEvent::Kind::overrun) {
    // Events were lost; look at every device we believe to be here.
    std::vector<Place> here;
    for (const auto& [address, place] : places_)
      if (address.netns == netns.netns.id()) here.push_back(place);
    for (const Place place : here) follow(*pairs_[place.pair.value], place.side);
    return;
  }
  const auto known = places_.find({netns.netns.id(), event.link.ifindex});
  if (known == places_.end()) return;
  const Place place = known->second;
  VethPair& pair = *pairs_[place.pair.value];
  if (event.kind == LinkEvent::Kind::removed) return follow(pair, place.side);
  // What has waited in the socket may be old news; if the device has gone since, that is an event
  // too.
  if (const auto link = look(pair, place.side)) refresh(pair, place.side, *link);
}

void Pairs::follow(VethPair& pair, Side side) {
  if (pair.removing) return;
  PairEnd& end = pair.end(side);
  if (end.nic) {
    // Its sockets lose a device that goes, be it to another namespace.
    const auto link = look(pair, side);
    if (!link) return remove(pair, subject(end) + " is gone");
    return refresh(pair, side, *link);
  }
  // The descriptor knows where its device is, whatever its name and namespace by now. Both can
  // change between two questions, so they are asked again, with the namespace held open meanwhile.
  Result<Whereabouts> found = fail({});
  for (int tries = 0; tries < kFollowTries; ++tries) {
    const auto name = end.tap->current_name();
    if (!name) return remove(pair, subject(end) + " was deleted");
    found = whereabouts(namespaces_, *end.tap, *name);
    if (!found) continue;
    end.astray = false;
    move_to(pair, side, std::move(found->netns), found->link);
    return refresh(pair, side, found->link);
  }
  if (!std::exchange(end.astray, true))
    log::warn("pair {}: cannot follow {} yet: {}", pair.name, subject(end), found.error().text());
  look_again(pair, side);
}

void Pairs::look_again(const VethPair& pair, Side side) {
  if (retries_.size() > kMaxRetries) retries_.erase(retries_.begin());
  retries_.push_back(loop_.after(kRetryDelay, [this, id = pair.id, side] {
    if (pairs_[id.value] != nullptr) follow(*pairs_[id.value], side);
  }));
}

void Pairs::move_to(VethPair& pair, Side side, std::shared_ptr<HeldNetns> netns,
                    const LinkState& link) {
  PairEnd& end = pair.end(side);
  const Address before{end.netns->netns.id(), end.link.ifindex};
  const Address now{netns->netns.id(), link.ifindex};
  if (before == now) return;
  leave(before, {.pair = pair.id, .side = side});
  places_[now] = {.pair = pair.id, .side = side};
  log::info("pair {}: {} is now {}/{}", pair.name, subject(end), netns->netns.label(), link.name);
  // On the way the device lost its qdisc; the next one would be the default.
  if (auto set = netns->links.set_noqueue(link.ifindex); !set)
    log::warn("pair {}: {}", pair.name, set.error().text());
  end.netns = std::move(netns);
}

void Pairs::refresh(VethPair& pair, Side side, const LinkState& link) {
  if (pair.removing) return;
  PairEnd& end = pair.end(side);
  if (end.link.name != link.name)
    log::info("pair {}: {} renamed to {}", pair.name, subject(end), link.name);
  const Device before = device_of(pair, side);
  const LinkState link_before = std::exchange(end.link, link);
  follow_program(pair, side, link_before);
  if (link_before.mtu != link.mtu) warn_of_mtu(pair, side);
  // Renamed or moved meanwhile, it has no features under this name; that is an event of its own. A
  // card's own are its stack's business, but for what merge_of() asks.
  if (const auto features = end.netns->links.features(link.name)) {
    if (end.tap)
      end.features = *features;
    else
      end.device_gro = features->gro;
  }
  put_back(pair, end);
  if (end.nic) look_at_queues(end);  // a card lets its link go down to change them
  if (!pair.added) return;           // bring_up() looks again
  finish_when_running(pair);
  const Device now = device_of(pair, side);
  if (before == now && end.known_up == now.running) return;
  // A stack that sees carrier sends; by then the workers must know that its peer is up.
  workers_.tell(SetDevice{.pair = pair.id, .side = side, .device = now},
                [this, id = pair.id, side, up = now.running](const auto&) {
                  VethPair* const told = pairs_[id.value].get();
                  if (told == nullptr || told->removing) return;
                  told->end(side).known_up = up;
                  set_carrier(*told);
                  finish_when_running(*told);  // of two cards no event follows
                });
}

VethPair* Pairs::find(std::string_view name) {
  for (const auto& pair : pairs_)
    if (pair != nullptr && !pair->removing && pair->name == name) return pair.get();
  return nullptr;
}

void Pairs::change(VethPair& pair, Side side, config::End config, std::function<void()> done) {
  pair.end(side).config = std::move(config);
  workers_.tell(SetDevice{.pair = pair.id, .side = side, .device = device_of(pair, side)},
                [done = std::move(done)](const auto&) { done(); });
}

void Pairs::set_carrier(VethPair& pair) {
  for (const Side side : kSides) {
    PairEnd& end = pair.end(side);
    const bool carrier = pair.end(peer_of(side)).known_up;
    if (!end.tap || carrier == end.carrier) continue;
    if (auto set = end.tap->set_carrier(carrier); !set) {
      log::warn("pair {}: {}", pair.name, set.error().text());
      continue;
    }
    end.carrier = carrier;
  }
}

void Pairs::check_programs() {
  next_check_ = loop_.after(kProgramCheck, [this] { check_programs(); });
  const std::vector<int> changed = new_xdp_links_.devices();
  for (const auto& pair : pairs_) {
    if (pair == nullptr) continue;
    for (const Side side : kSides) {
      const PairEnd& end = pair->end(side);
      const bool may_have_changed =
          end.nic
              ? end.nic->attached() != end.steered
              : has_program(end) || std::ranges::find(changed, end.link.ifindex) != changed.end();
      if (!may_have_changed) continue;
      if (const auto link = look(*pair, side)) refresh(*pair, side, *link);
    }
  }
}

void Pairs::on_orphan(const HeldNetns& netns) {
  for (const auto& pair : pairs_) {
    if (pair == nullptr || pair->removing) continue;
    for (const Side side : kSides) {
      if (pair->end(side).netns.get() != &netns) continue;
      remove(*pair, "namespace " + netns.netns.label() + " was removed");
      break;
    }
  }
}

void Pairs::on_notice(const FailureNotice& notice) {
  const PairId id = pair_of(notice.failure.path);
  if (pairs_[id.value] == nullptr || pairs_[id.value]->removing) return;
  VethPair& pair = *pairs_[id.value];
  PairEnd& end = pair.end(entry_of(notice.failure.path));
  const Error error{.code = notice.failure.error, .doing = "read " + subject(end), .hint = {}};
  remove(pair, error.text());
}

void Pairs::on_look_again(LookAgain question) {
  const PairId id = pair_of(question.path);
  const Side from = entry_of(question.path);
  if (pairs_[id.value] == nullptr || pairs_[id.value]->removing) return;
  VethPair& pair = *pairs_[id.value];
  for (const Side side : kSides)
    if (const auto link = look(pair, side)) refresh(pair, side, *link);
  workers_.tell(Looked{.pair = id, .side = from}, [](const auto&) {});
}

void Pairs::remove(VethPair& pair, const std::string& why) {
  if (std::exchange(pair.removing, true)) return;
  log::warn("pair {}: removed: {}; it comes back when vethd is started again", pair.name, why);
  const bool last = std::ranges::none_of(
      pairs_, [](const auto& other) { return other != nullptr && !other->removing; });
  if (last) log::warn("pair {} was the last: vethd runs on and forwards nothing", pair.name);
  finish_open(pair, fail(why, "leave its devices and namespaces alone while it starts", ENODEV));
  const PairId id = pair.id;
  workers_.tell(StopReading{id}, [this, id](const auto&) {
    workers_.tell(RemovePair{id}, [this, id](const auto&) {
      VethPair& removed = *pairs_[id.value];
      const auto forget_it = [this, id] {
        workers_.tell(ForgetPair{id}, [this, id](const auto&) { forget(id); });
      };
      if (!removed.end(Side::a).nic && !removed.end(Side::b).nic) return forget_it();
      for (const Side side : kSides) close_nic(removed.end(side), janitor_);
      removed.deadline = loop_.after(kQueueRelease, forget_it);
    });
  });
}

void Pairs::forget(PairId id) {
  VethPair& pair = *pairs_[id.value];
  for (const Side side : kSides)
    leave({pair.end(side).netns->netns.id(), pair.end(side).link.ifindex}, {id, side});
  pairs_[id.value].reset();  // closes the descriptors, and with them the devices
}

void Pairs::leave(const Address& address, const Place& place) {
  const auto there = places_.find(address);
  if (there != places_.end() && there->second == place) places_.erase(there);
}

void Pairs::close() {
  namespaces_.stop_listening();
  std::unordered_set<HeldNetns*> seen;
  std::vector<Links*> namespaces;
  for (const auto& pair : pairs_) {
    if (pair == nullptr) continue;
    for (const Side side : kSides) {
      HeldNetns& netns = *pair->end(side).netns;
      if (seen.insert(&netns).second) namespaces.push_back(&netns.links);
    }
  }
  for (const auto& removed : remove_groups(namespaces, group_))
    if (!removed) log::warn("{}", removed.error().text());
  for (const auto& pair : pairs_) {
    if (pair == nullptr) continue;
    for (const Side side : kSides) close_nic(pair->end(side), janitor_);
  }
  pairs_.clear();
  places_.clear();
}

}  // namespace vethd

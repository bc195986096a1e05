// The life of pairs: opened together, followed wherever their users put them, removed together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/schema.hpp"
#include "daemon/control/loop.hpp"
#include "daemon/control/namespaces.hpp"
#include "daemon/control/nics.hpp"
#include "daemon/control/worker_set.hpp"
#include "daemon/core/result.hpp"
#include "daemon/pipeline/rules.hpp"
#include "drivers/af_xdp/nic.hpp"
#include "drivers/tap/tap.hpp"
#include "xdp/hook.hpp"
#include "xdp/new_links.hpp"

namespace vethd {

/// One end of a pair, as control knows it.
struct PairEnd {
  config::End config;
  std::optional<Tap> tap;                          // driver = "tap", or
  std::optional<Nic> nic;                          // driver = "af_xdp"
  std::string device_driver;                       // of a nic
  bool software = false;                           // of a nic: no card stands behind it
  bool device_gro = false;                         // of a nic: as last seen
  std::uint32_t device_queues = 0;                 // of a nic: receives on, as last seen
  std::optional<Janitor::Registration> stripping;  // of VLAN tags, to be switched on again
  std::shared_ptr<HeldNetns> netns;                // where it is now
  bool astray = false;                             // it has moved and could not be followed yet
  LinkState link;                                  // as last seen
  Features features;                               // as last seen
  bool known_up = false;                           // all workers know that it is up
  bool carrier = false;                            // of a TAP, as set: its peer is known to be up
  std::optional<XdpHook> xdp;                      // the configured program on what it receives
  bool steered = true;                             // of a nic: our program is on it, as last seen
  std::uint32_t program_max_mtu = 0;  // bytes; what the configured program asks of the other end
  // What a veth would allow while the other end has a program; a TAP's own is 65521.
  std::optional<std::uint32_t> max_mtu;  // bytes
};

std::string subject(const PairEnd& end);  // "red/veth0", for messages

struct VethPair {
  PairId id;
  std::string name;
  MachineId machine;
  const Rules* rules = nullptr;
  config::Coalesce coalesce = config::Coalesce::automatic;
  PairEnd ends[2];     // by Side
  bool added = false;  // all workers know it
  bool removing = false;
  std::function<void(Result<void>)> opened;  // of open(), until it is called
  Loop::WatchPtr deadline;                   // of open(), or until its sockets are gone

  [[nodiscard]] PairEnd& end(Side side) { return ends[index_of(side)]; }
  [[nodiscard]] const PairEnd& end(Side side) const { return ends[index_of(side)]; }
  /// As both stacks see it.
  [[nodiscard]] bool carrier() const { return ends[0].known_up && ends[1].known_up; }
};

/// Emulates  drivers/net/veth.c: veth_newlink(), veth_dellink(), veth_open(), veth_close(): a pair
///           is made and removed as one, and has carrier while both ends are up.
/// Threads   the loop's.
class Pairs {
 public:
  /// memory: the sockets' until after close(). rules: by MachineId.
  Pairs(Loop& loop, Janitor& janitor, WorkerSet& workers, bool create_netns, NicMemory memory,
        std::vector<const Rules*> rules);

  /// The worker that queue i of both ends belongs to.
  static CpuId owner_of(PairId pair, std::uint32_t queue, std::size_t workers) {
    // From a base that goes round over the pairs.
    return {(pair.value + queue) % static_cast<std::uint32_t>(workers)};
  }
  ~Pairs();
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;

  /// Opens one pair, up to forwarding frames; then calls done. What an error leaves of it goes with
  /// close().
  void open(const config::Pair& config, std::function<void(Result<void>)> done);

  [[nodiscard]] const std::vector<std::unique_ptr<VethPair>>& all() const { return pairs_; }

  /// The pair of that name; nullptr: there is none, or it is being removed.
  [[nodiscard]] VethPair* find(std::string_view name);

  /// Gives an end of an open pair other settings; calls done when all workers know them.
  void change(VethPair& pair, Side side, config::End config, std::function<void()> done);

  /// Removes all devices, with one request per namespace. After the workers have stopped.
  void close();

 private:
  struct Address {  // where a device can be found in events
    NetnsId netns;
    int ifindex = 0;
    friend bool operator==(const Address&, const Address&) = default;
  };
  struct HashAddress {
    std::size_t operator()(const Address& address) const {
      return std::hash<NetnsId>{}(address.netns) * 31 + static_cast<std::size_t>(address.ifindex);
    }
  };
  struct Place {
    PairId pair;
    Side side{};
    friend bool operator==(const Place&, const Place&) = default;
  };

  Result<void> open_end(VethPair& pair, Side side);
  Result<void> create_tap(PairEnd& end, const SuperFrames& super_frames);
  Result<void> take_nic(PairEnd& end, const NicMemory::FirstChunks& first_chunks);
  void bring_up(VethPair& pair);
  static void finish_when_running(VethPair& pair);
  static void finish_open(VethPair& pair, Result<void> outcome);
  static Result<LinkState> look(VethPair& pair, Side side);
  static Result<void> add_addresses(VethPair& pair);
  static Merge merge_of(const VethPair& pair, const PairEnd& sender);
  [[nodiscard]] Device device_of(const VethPair& pair, Side side) const;
  void add_to_workers(VethPair& pair, std::function<void(Result<void>)> done);

  void look_again(const VethPair& pair, Side side);
  void on_link(HeldNetns& netns, const LinkEvent& event);
  void on_orphan(const HeldNetns& netns);
  void on_notice(const FailureNotice& notice);
  void on_look_again(LookAgain question);
  void follow(VethPair& pair, Side side);
  void move_to(VethPair& pair, Side side, std::shared_ptr<HeldNetns> netns, const LinkState& link);
  /// Tells the workers what has changed, then the carrier; nobody is told anything before all
  /// workers know the pair.
  void refresh(VethPair& pair, Side side, const LinkState& link);
  /// An end has carrier while its peer is up, and so already before it is up itself: what is sent
  /// the moment `ip link set up` returns must find it. A device that is down shows none.
  static void set_carrier(VethPair& pair);
  /// Sees what no link event tells: BPF links that others make or break.
  void check_programs();
  void remove(VethPair& pair, const std::string& why);
  void forget(PairId id);
  /// No more, unless somebody else's device has come to that address since.
  void leave(const Address& address, const Place& place);

  Loop& loop_;
  Janitor& janitor_;
  NicMemory memory_;
  WorkerSet& workers_;
  Namespaces namespaces_;
  std::uint32_t group_;                           // link group of our devices, for close()
  std::vector<std::unique_ptr<VethPair>> pairs_;  // by PairId; empty where one was removed
  std::unordered_map<Address, Place, HashAddress> places_;
  std::vector<Loop::WatchPtr> retries_;  // ends that were moving when we looked
  std::vector<const Rules*> rules_;      // by MachineId
  NewXdpLinks new_xdp_links_;
  Loop::WatchPtr next_check_;  // of programs
};

}  // namespace vethd

// No copy inside the daemon: a frame leaves from the very bytes it arrived in, whatever the two
// ends are, and when RPS sends it over another worker and back to the owner of the socket.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "daemon/frame/pool.hpp"
#include "daemon/netns/links.hpp"
#include "daemon/ring/support.hpp"
#include "daemon/worker/worker.hpp"
#include "drivers/af_xdp/nic.hpp"
#include "drivers/tap/tap.hpp"
#include "drivers/uring/uring_io.hpp"
#include "tests/platform/xsk/support.hpp"
#include "tests/unit/pipeline/packets.hpp"

namespace vethd::test {
namespace {

constexpr std::uint32_t kWorkers = 2;
constexpr PairId kPair{0};
constexpr int kFrames = 8;
constexpr int kMaxRounds = 200'000;

enum class Kind : std::uint8_t { tap, copy, generic };

struct Combination {
  Kind a;
  Kind b;
  bool rps;  // over worker 1, while worker 0 owns all queues
};
std::ostream& operator<<(std::ostream& out, const Combination& combination) {
  constexpr const char* kNames[] = {"tap", "copy", "generic"};
  return out << kNames[static_cast<int>(combination.a)] << "_to_"
             << kNames[static_cast<int>(combination.b)] << (combination.rps ? "_rps" : "");
}

class Silent final : public Control {
 public:
  void answer(MailAnswer answer) override { must(std::move(answer.result)); }
  void notice(FailureNotice notice) override {
    throw std::runtime_error("cannot be read: " + std::to_string(notice.failure.error));
  }
  void look_again(LookAgain /*question*/) override {
    throw std::runtime_error("asked although nobody answers");
  }
};

/// One end of the pair, and a socket where its user would be.
struct End {
  std::optional<Netns> user;
  std::optional<vethd::Tap> tap;
  std::optional<Nic> nic;
  Fd socket;
};

class SameChunk : public PlatformTest, public testing::WithParamInterface<Combination> {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    auto support = probe_ring_support();
    if (!support) GTEST_SKIP() << support.error().text();
    for (std::uint32_t cpu = 0; cpu < kWorkers; ++cpu) {
      pools_.push_back(std::make_unique<FramePool>(arena_, cpu));
      ios_.push_back(must(UringIo::create(*support, *pools_.back())));
      mailboxes_.push_back(std::make_unique<Mailbox>(kMailboxMails));
    }
    for (auto& io : ios_) io->set_peers({ios_[0].get(), ios_[1].get()});
    middle_ = make_silent_netns("middle");
    make_end(ends_[0], GetParam().a, "a");
    make_end(ends_[1], GetParam().b, "b");
    for (std::uint32_t cpu = 0; cpu < kWorkers; ++cpu) {
      must(ios_[cpu]->start());
      workers_.push_back(std::make_unique<Worker>(WorkerParts{.cpu = {cpu},
                                                              .clock = clock_,
                                                              .pool = *pools_[cpu],
                                                              .exchange = exchange_,
                                                              .machines = {&machine_},
                                                              .io = *ios_[cpu],
                                                              .mailbox = *mailboxes_[cpu],
                                                              .control = control_}));
      auto mail = std::make_unique<Mail>();
      mail->what = add_pair(cpu);
      ASSERT_TRUE(mailboxes_[cpu]->push(std::move(mail)));
      workers_[cpu]->round();
    }
    for (End& end : ends_)
      if (end.nic) must(end.nic->receive());
  }

  void make_end(End& end, Kind kind, const std::string& name) {
    end.user = make_silent_netns(name);
    const std::string user = "user-" + name;
    int ifindex = 0;
    if (kind == Kind::tap) {
      end.tap = must(vethd::Tap::create(*end.user, user, 1));
      Links links = must(Links::open(*end.user));
      ifindex = must(links.find(user)).ifindex;
      must(links.set_noqueue(ifindex));
      must(links.configure(ifindex, {.up = true}));
      must(end.tap->set_carrier(true));
      while (!must(links.get(ifindex)).running) {  // ends: linkwatch_schedule_work(), in a second
      }
    } else {
      const VethEnds wire = make_wire(*middle_, "ours-" + name, *end.user, user);
      ifindex = wire.b;
      std::vector<std::vector<FrameAddr>> first(1);
      end.nic = must(Nic::open(*middle_,
                               {.ifindex = wire.a,
                                .queues = 1,
                                .mode = kind == Kind::copy ? XskMode::copy : XskMode::generic,
                                .steer = {},
                                .socket = {.ifname = "ours-" + name, .queue = {}, .fill_ring = 64},
                                .first_chunks = first},
                               arena_.memory()));
    }
    end.socket = must(in_netns(*end.user, [&]() -> Result<Fd> {
      Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
      sockaddr_ll at{};
      at.sll_family = AF_PACKET;
      at.sll_protocol = htons(ETH_P_ALL);
      at.sll_ifindex = ifindex;
      if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) < 0)
        return fail("bind a packet socket");
      return socket;
    }));
  }

  AddPair add_pair(std::uint32_t cpu) {
    AddPair mail{.pair = kPair, .machine = {0}, .a = {}, .b = {}, .endpoints = {}};
    for (const Side side : {Side::a, Side::b}) {
      End& end = ends_[static_cast<std::size_t>(side)];
      Device& device = side == Side::a ? mail.a : mail.b;
      device.running = true;
      device.plain_frames = end.nic.has_value();
      if (GetParam().rps) device.rps_cpus = {{CpuId{1}}};
      mail.endpoints.push_back({.fd = end.tap ? end.tap->queue(0) : -1,
                                .vnet_bytes = end.tap ? end.tap->vnet_bytes() : 0,
                                .path = path_from(kPair, side),
                                .queue = {0},
                                .owner = {0},
                                .reads = cpu == 0,
                                .xsk = end.nic ? &end.nic->socket(0) : nullptr,
                                .shared = end.tap.has_value()});
    }
    return mail;
  }

  /// One round of each worker. Notes where frames arrive, and looks where they leave from.
  void round() {
    for (std::uint32_t cpu = 0; cpu < kWorkers; ++cpu) {
      ios_[cpu]->wait(/*block=*/false);
      for (Endpoint* endpoint : ios_[cpu]->ready())
        endpoint->arrived().for_each(
            [&](const Frame& frame) { arrived_[arena_.id_of(frame).value] = frame.addr; });
      workers_[cpu]->round();
      ios_[cpu]->for_each_pending([&](const Frame& frame) {
        const auto from = arrived_.find(arena_.id_of(frame).value);
        ASSERT_NE(from, arrived_.end()) << "a frame leaves that did not arrive";
        EXPECT_EQ(frame.addr, from->second) << "it leaves from where it arrived";
        left_by_.insert(cpu);
      });
    }
  }

  /// One frame from side to side.
  void carry(Side from, const Packet& packet) {
    const End& sender = ends_[static_cast<std::size_t>(from)];
    const End& receiver = ends_[static_cast<std::size_t>(peer_of(from))];
    const auto bytes = static_cast<ssize_t>(packet.bytes.size());
    ASSERT_EQ(::send(sender.socket.get(), packet.bytes.data(), packet.bytes.size(), 0), bytes);
    for (int i = 0; i < kMaxRounds; ++i) {
      round();
      Bytes got(2048);
      const ssize_t n = ::recv(receiver.socket.get(), got.data(), got.size(), 0);
      if (n < 0) continue;
      got.resize(static_cast<std::size_t>(n));
      if (got == packet.bytes) return;
    }
    FAIL() << "it does not arrive";
  }

  SystemClock clock_;
  Arena arena_ = must(Arena::create(plan_arena(24UL << 20, kWorkers)));
  Exchange exchange_{kWorkers, arena_.plan().frames_per_worker(), /*handed_on=*/true};
  Machine machine_{{.sysctls = {}, .hash_key = {1, 2}, .cpus = kWorkers}};
  Silent control_;
  std::optional<Netns> middle_;
  std::array<End, 2> ends_;
  std::vector<std::unique_ptr<FramePool>> pools_;
  std::vector<std::unique_ptr<UringIo>> ios_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::uint32_t, FrameAddr> arrived_;  // by FrameId
  std::set<std::uint32_t> left_by_;             // workers
};

TEST_P(SameChunk, LeavesFromWhereItArrived) {
  Spec spec{.tcp = false, .payload = 18};
  for (int i = 0; i < kFrames; ++i) {
    spec.payload = i % 2 == 0 ? 18 : 1472;
    ASSERT_NO_FATAL_FAILURE(carry(Side::a, build(spec)));
    ASSERT_NO_FATAL_FAILURE(carry(Side::b, build(spec)));
    spec = following(spec);
  }
  // A socket is written to by its owner alone; a TAP by whoever has the frame.
  const bool taps = GetParam().a == Kind::tap || GetParam().b == Kind::tap;
  const bool sockets = GetParam().a != Kind::tap || GetParam().b != Kind::tap;
  EXPECT_EQ(left_by_.contains(0), sockets || !GetParam().rps);
  EXPECT_EQ(left_by_.contains(1), taps && GetParam().rps);
}

std::vector<Combination> combinations() {
  std::vector<Combination> all;
  for (const auto& [a, b] : std::vector<std::pair<Kind, Kind>>{{Kind::tap, Kind::tap},
                                                               {Kind::tap, Kind::copy},
                                                               {Kind::copy, Kind::copy},
                                                               {Kind::tap, Kind::generic},
                                                               {Kind::generic, Kind::generic}})
    for (const bool rps : {false, true}) all.push_back({.a = a, .b = b, .rps = rps});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Ends, SameChunk, testing::ValuesIn(combinations()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace vethd::test

// What we assume of TAPs under io_uring, in the best mode the kernel has and in every stand-in:
// frames come in order, leave in order, and a deleted device is noticed. Runs on old kernels too.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/frame/arena.hpp"
#include "daemon/frame/chain.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/netns/links.hpp"
#include "daemon/ring/support.hpp"
#include "drivers/tap/tap.hpp"
#include "drivers/uring/uring_io.hpp"

namespace vethd {
namespace {

constexpr std::uint16_t kEtherType = 0x88b5;  // local experiments
constexpr std::size_t kFrameBytes = 100;
constexpr std::uint32_t kFrames = 600;  // more than landing buffers, fewer than the TAP's ring
constexpr int kPatienceMs = 5000;
constexpr int kMaxWaits = 100000;

/// The ways the daemon can run, from best to least, as far as this kernel has them.
std::vector<RingSupport> modes() {
  const auto best = probe_ring_support();
  if (!best) return {};
  std::vector<RingSupport> all{*best};
  RingSupport single = *best;
  single.multishot_read = false;
  if (best->multishot_read) all.push_back(single);
  single.msg_ring = false;
  single.setup_flags = IORING_SETUP_COOP_TASKRUN;
  all.push_back(single);
  single.setup_flags = 0;
  all.push_back(single);
  return all;
}

std::string name_of(const RingSupport& mode) {
  std::string name;
  for (const std::string& word : mode.in_use()) name += word + " ";
  return name;
}

/// A TAP in a namespace that goes away with the process's thread, and a raw socket on it.
class UringIoTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (auto support = probe_ring_support(); !support) GTEST_SKIP() << support.error().text();
    home_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    auto netns = Netns::open({});
    ASSERT_TRUE(netns) << netns.error().text();
    netns_.emplace(std::move(*netns));
    auto links = Links::open(*netns_);
    ASSERT_TRUE(links);
    links_.emplace(std::move(*links));
  }
  void TearDown() override {
    if (home_.is_open()) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  [[nodiscard]] bool is_writing() const {
    bool any = false;
    io_->for_each_pending([&](const Frame&) { any = true; });
    return any;
  }

  /// A new TAP, up and with carrier, attached to a UringIo of the given mode.
  void open(const RingSupport& mode) {
    io_.reset();
    tap_.reset();
    pool_.reset();
    auto arena = Arena::create(plan_arena(16UL << 20, 1));
    ASSERT_TRUE(arena);
    arena_.emplace(std::move(*arena));
    pool_ = std::make_unique<FramePool>(*arena_, 0);
    auto io = UringIo::create(mode, *pool_);
    ASSERT_TRUE(io) << io.error().text();
    io_ = std::move(*io);
    io_->set_peers({io_.get()});
    // A ring that has been closed lets go of its files a little later, and the device lives so
    // long.
    const std::string name = "tap" + std::to_string(++devices_);
    auto tap = Tap::create(*netns_, name, 1);
    ASSERT_TRUE(tap) << tap.error().text();
    tap_.emplace(std::move(*tap));
    auto link = links_->find(name);
    ASSERT_TRUE(link);
    ifindex_ = link->ifindex;
    ASSERT_TRUE(links_->set_noqueue(ifindex_));
    ASSERT_TRUE(links_->configure(ifindex_, {.up = true}));
    ASSERT_TRUE(tap_->set_carrier(true));
    // The stack sends only when its link watch has seen the carrier; before, frames vanish.
    bool running = false;
    for (int i = 0; i < kMaxWaits && !running; ++i) {
      const auto now = links_->get(ifindex_);
      running = now && now->running;
    }
    ASSERT_TRUE(running) << "the link watch has not seen the carrier";
    ASSERT_TRUE(io_->start());
    auto endpoint = io_->attach({.fd = tap_->queue(0),
                                 .vnet_bytes = tap_->vnet_bytes(),
                                 .path = {0},
                                 .queue = {0},
                                 .reads = true});
    ASSERT_TRUE(endpoint) << endpoint.error().text();
    endpoint_ = *endpoint;
    io_->wait(false);

    raw_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kEtherType)));
    ASSERT_TRUE(raw_.is_open());
    const int bytes = 16 << 20;
    ::setsockopt(raw_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kEtherType);
    address.sll_ifindex = ifindex_;
    ASSERT_EQ(::bind(raw_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  static std::array<std::byte, kFrameBytes> numbered(std::uint32_t number) {
    std::array<std::byte, kFrameBytes> bytes{};
    bytes.fill(std::byte{0xff});  // broadcast
    bytes[12] = std::byte{kEtherType >> 8};
    bytes[13] = std::byte{kEtherType & 0xff};
    std::memcpy(&bytes[14], &number, sizeof number);
    return bytes;
  }

  /// Receives and frees frames until `count` have come; their numbers in the order of arrival.
  std::vector<std::uint32_t> read_numbers(std::size_t count) {
    std::vector<std::uint32_t> numbers;
    FrameList batch(Holder::endpoint);
    for (int i = 0; i < kMaxWaits && numbers.size() < count; ++i) {
      io_->wait(i % 2 == 1 && io_->ready().empty());
      endpoint_->receive(batch, 64);
      if (!endpoint_->has_arrivals()) io_->ready().clear();
      while (Frame* frame = batch.pop()) {
        std::uint32_t number = 0;
        std::memcpy(&number, arena_->bytes_of(*frame) + 14, sizeof number);
        const std::byte* type = arena_->bytes_of(*frame) + 12;
        if (frame->len == kFrameBytes && type[0] == std::byte{kEtherType >> 8})
          numbers.push_back(number);
        pool_->release(*frame);
      }
      io_->refill();
    }
    return numbers;
  }

  Fd home_;
  std::optional<Netns> netns_;
  std::optional<Links> links_;
  std::optional<Arena> arena_;
  std::unique_ptr<FramePool> pool_;
  std::optional<Tap> tap_;
  std::unique_ptr<UringIo> io_;
  Endpoint* endpoint_ = nullptr;
  Fd raw_;
  int ifindex_ = 0;
  int devices_ = 0;
};

TEST_F(UringIoTest, SeesAFrameThatHasComeWithoutASystemCallInEveryMode) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    bool quiet = false;  // the stack sends a few frames by itself
    for (int i = 0; i < kMaxWaits && !quiet; ++i) {
      io_->wait(false);
      FrameList batch(Holder::endpoint);
      endpoint_->receive(batch, kFrames);
      io_->ready().clear();
      while (Frame* frame = batch.pop()) pool_->release(*frame);
      io_->refill();
      quiet = !io_->has_events();
    }
    EXPECT_TRUE(quiet);
    const auto frame = numbered(0);
    ASSERT_EQ(::send(raw_.get(), frame.data(), frame.size(), 0), ssize_t{kFrameBytes});
    bool seen = false;
    for (int i = 0; i < kMaxWaits && !seen; ++i) seen = io_->has_events();
    EXPECT_TRUE(seen);
    EXPECT_TRUE(io_->wait(false));
    EXPECT_TRUE(endpoint_->has_arrivals());
    ASSERT_EQ(read_numbers(1).size(), 1U);
  }
}

TEST_F(UringIoTest, WritesArriveInTheOrderTheyWereMadeInEveryMode) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    std::uint32_t sent = 0;
    FrameList run(Holder::transmit);
    while (sent < kFrames) {
      for (int i = 0; i < 64 && sent < kFrames; ++i) {
        Frame* frame = pool_->take_chunk();
        ASSERT_NE(frame, nullptr);
        const auto bytes = numbered(sent++);
        std::memcpy(arena_->bytes_of(*frame), bytes.data(), bytes.size());
        frame->len = kFrameBytes;
        run.push(*frame);
      }
      endpoint_->transmit(run);
      for (int i = 0; i < kMaxWaits && is_writing(); ++i) io_->wait(true);
      while (Frame* frame = io_->written().pop()) {
        EXPECT_EQ(frame->write_error, 0);
        pool_->release(*frame);
      }
    }
    for (std::uint32_t expected = 0; expected < kFrames; ++expected) {
      pollfd readable{.fd = raw_.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&readable, 1, kPatienceMs), 1) << "frame " << expected << " is missing";
      std::array<std::byte, 2 * kFrameBytes> bytes{};
      ASSERT_EQ(::recv(raw_.get(), bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(kFrameBytes));
      std::uint32_t number = 0;
      std::memcpy(&number, &bytes[14], sizeof number);
      ASSERT_EQ(number, expected);
    }
  }
}

// A frame that GRO has merged is written from all the buffers it lies in.
TEST_F(UringIoTest, ChainedFramesArriveWholeAndInOrderWithPlainOnesInEveryMode) {
  constexpr std::uint32_t kHeaderBytes = 54;  // of each fragment, which do not travel
  constexpr std::uint32_t kPartBytes = 19;    // odd: no part ends on a word
  constexpr std::uint32_t kRunFrames = 30;
  const auto part_byte = [](std::uint32_t number, std::uint32_t part) {
    return static_cast<std::byte>((number * 67 + part) & 0xff);
  };
  // From none to as many fragments as there can be; a MTU holds them all.
  const auto parts_of = [](std::uint32_t number) { return number * 23 % (kMaxFragments + 1U); };
  static_assert(kFrameBytes + kMaxFragments * kPartBytes <= 1514);
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    const std::size_t free_chunks = pool_->free_chunks();
    FrameList run(Holder::transmit);
    for (std::uint32_t number = 0; number < kRunFrames; ++number) {
      Frame* const frame = pool_->take_chunk();
      ASSERT_NE(frame, nullptr);
      const auto bytes = numbered(number);
      std::memcpy(arena_->bytes_of(*frame), bytes.data(), bytes.size());
      frame->len = kFrameBytes;
      for (std::uint32_t part = 0; part < parts_of(number); ++part) {
        Frame* const fragment = pool_->take_chunk();
        ASSERT_NE(fragment, nullptr);
        fragment->len = kHeaderBytes + kPartBytes;
        std::memset(arena_->bytes_of(*fragment), 0xee, kHeaderBytes);
        std::memset(arena_->bytes_of(*fragment) + kHeaderBytes,
                    std::to_integer<int>(part_byte(number, part)), kPartBytes);
        chain(*frame, *fragment, kHeaderBytes);
      }
      run.push(*frame);
    }
    endpoint_->transmit(run);
    for (int i = 0; i < kMaxWaits && is_writing(); ++i) io_->wait(true);
    while (Frame* frame = io_->written().pop()) {
      EXPECT_EQ(frame->write_error, 0);
      pool_->release(*frame);
    }
    EXPECT_EQ(pool_->free_chunks(), free_chunks) << "every fragment comes home";

    for (std::uint32_t number = 0; number < kRunFrames; ++number) {
      pollfd readable{.fd = raw_.get(), .events = POLLIN, .revents = 0};
      ASSERT_EQ(::poll(&readable, 1, kPatienceMs), 1) << "frame " << number << " is missing";
      std::array<std::byte, 2048> bytes{};
      const std::uint32_t parts = parts_of(number);
      ASSERT_EQ(::recv(raw_.get(), bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(kFrameBytes + parts * kPartBytes));
      const auto expected = numbered(number);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin())) << number;
      for (std::uint32_t i = 0; i < parts * kPartBytes; ++i)
        ASSERT_EQ(bytes[kFrameBytes + i], part_byte(number, i / kPartBytes))
            << "frame " << number << " byte " << i;
    }
  }
}

TEST_F(UringIoTest, FramesComeOutInTheOrderTheyWereSentInEveryMode) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    for (std::uint32_t number = 0; number < kFrames; ++number) {
      const auto bytes = numbered(number);
      ASSERT_EQ(::send(raw_.get(), bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(bytes.size()))
          << std::strerror(errno);
    }
    const auto numbers = read_numbers(kFrames);
    ASSERT_EQ(numbers.size(), kFrames);
    for (std::uint32_t expected = 0; expected < kFrames; ++expected)
      ASSERT_EQ(numbers[expected], expected);
    // A multishot takes all there is and runs out of buffers; a chain ends before.
    EXPECT_EQ(io_->paused().empty(), !mode.multishot_read);
  }
}

TEST_F(UringIoTest, ReadingStopsOnRequestAndNothingStaysInFlight) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    io_->stop_reading(*endpoint_);
    for (int i = 0; i < kMaxWaits && !io_->is_quiet(*endpoint_); ++i) {
      io_->wait(true);
      FrameList batch(Holder::endpoint);
      endpoint_->receive(batch, 64);
      while (Frame* frame = batch.pop()) pool_->release(*frame);
    }
    ASSERT_TRUE(io_->is_quiet(*endpoint_));
    io_->detach(*endpoint_);
  }
}

TEST_F(UringIoTest, DeletedDeviceIsReportedOnce) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    ASSERT_TRUE(links_->remove(ifindex_));
    FrameList batch(Holder::endpoint);
    for (int i = 0; i < kMaxWaits && io_->failures().empty(); ++i) {
      io_->wait(true);
      endpoint_->receive(batch, 64);
      while (Frame* frame = batch.pop()) pool_->release(*frame);
      io_->refill();
    }
    for (int i = 0; i < kMaxWaits && !io_->is_quiet(*endpoint_); ++i) io_->wait(true);
    ASSERT_EQ(io_->failures().size(), 1U);
    EXPECT_EQ(io_->failures().front().error, EBADFD);
  }
}

TEST_F(UringIoTest, WokenByItsEventfdAndByItsPeers) {
  for (const RingSupport& mode : modes()) {
    SCOPED_TRACE(name_of(mode));
    ASSERT_NO_FATAL_FAILURE(open(mode));
    io_->take_wake();
    for (int round = 0; round < 3; ++round) {
      const std::uint64_t one = 1;
      ASSERT_EQ(::write(io_->wake_fd(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
      for (int i = 0; i < kMaxWaits && !io_->take_wake(); ++i) io_->wait(true);
      io_->wake({0});
      for (int i = 0; i < kMaxWaits && !io_->take_wake(); ++i) io_->wait(true);
    }
  }
}

}  // namespace
}  // namespace vethd

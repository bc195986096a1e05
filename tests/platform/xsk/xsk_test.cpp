#include "xdp/xsk.hpp"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <fstream>
#include <numeric>
#include <thread>

#include "daemon/netns/links.hpp"
#include "tests/platform/xsk/support.hpp"
#include "xdp/log.hpp"

namespace vethd::test {
namespace {

constexpr std::size_t kChunks = 256;
constexpr std::uint32_t kEntries = 64;
constexpr std::size_t kShortest = 60;
constexpr std::size_t kLongest = 1514;
constexpr QueueId kQueue{0};

XskSetup setup_of(XskMode mode, const std::string& ifname = "a") {
  return {.ifname = ifname,
          .queue = kQueue,
          .mode = mode,
          .rx_ring = kEntries,
          .tx_ring = kEntries,
          .fill_ring = kEntries,
          .completion_ring = kEntries};
}

class Room : public PlatformTest {
 protected:
  static void SetUpTestSuite() { route_bpf_log(); }
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    red_ = make_silent_netns("red");
    blue_ = make_silent_netns("blue");
    wire_ = make_wire(red(), "a", blue(), "b");
  }

  [[nodiscard]] const Netns& red() const { return *red_; }
  [[nodiscard]] const Netns& blue() const { return *blue_; }

  std::optional<Netns> red_;
  std::optional<Netns> blue_;
  VethEnds wire_;
  Chunks chunks_{kChunks};
};

/// What the two modes of a veth have in common.
class XskTest : public Room, public ::testing::WithParamInterface<XskMode> {
 protected:
  Xsk open(const XskSetup& setup) { return must(Xsk::open(red(), setup, chunks_.memory(), {})); }
  Xsk open() { return open(setup_of(GetParam())); }
  Redirect steer(const Xsk& xsk) {
    Redirect redirect = must(Redirect::attach(red(), wire_.a, {}, GetParam(), false));
    must(redirect.add(kQueue, xsk.fd()));
    return redirect;
  }
  void put(FrameAddr addr, const Bytes& frame) {
    std::copy(frame.begin(), frame.end(), chunks_.at(addr));
  }
};

INSTANTIATE_TEST_SUITE_P(Veth, XskTest, ::testing::Values(XskMode::copy, XskMode::generic),
                         [](const auto& instance) { return name_of(instance.param); });

TEST_P(XskTest, IsInTheModeAskedFor) { EXPECT_EQ(open().mode(), GetParam()); }

TEST_P(XskTest, ReceivesFramesOfEveryLength) {
  Xsk xsk = open();
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  fill(xsk, 0, kEntries);
  for (std::size_t bytes = kShortest; bytes <= kLongest; ++bytes) {
    const Bytes frame = frame_of(bytes, static_cast<std::uint32_t>(bytes));
    peer.send(frame);
    const Received received = receive(xsk, 1).front();
    ASSERT_EQ(received.addr.value % kChunkBytes, kChunkHeadroom);
    ASSERT_FALSE(received.continues);
    ASSERT_EQ(chunks_.copy(received.addr, received.len), frame);
    const std::array back{received.addr};  // with its offset: the chunk is meant
    fill(xsk, back);
  }
}

TEST_P(XskTest, HasChunksFromTheStart) {
  const std::array chunks{Chunks::chunk(5), Chunks::chunk(9)};
  Xsk xsk = must(Xsk::open(red(), setup_of(GetParam()), chunks_.memory(), chunks));
  EXPECT_EQ(xsk.fill_room(), kEntries - chunks.size());
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  for (const FrameAddr chunk : chunks) {
    peer.send(frame_of(kShortest));
    EXPECT_EQ(receive(xsk, 1).front().addr.value, chunk.value + kChunkHeadroom);
  }
}

TEST_P(XskTest, SendsFramesOfEveryLengthFromAnyOffset) {
  Xsk xsk = open();
  const PacketSocket peer(blue(), wire_.b);
  for (std::size_t bytes = kShortest; bytes <= kLongest; ++bytes) {
    const Bytes frame = frame_of(bytes, static_cast<std::uint32_t>(bytes));
    const FrameAddr addr{Chunks::chunk(bytes % kChunks).value + bytes};
    put(addr, frame);
    ASSERT_GE(xsk.send_room(), 1U);
    xsk.send(addr, static_cast<std::uint32_t>(bytes), false);
    flush(xsk);
    ASSERT_EQ(peer.receive(), frame);
    // Not bit 0: Linux 6.18 keeps a mark of its own there.
    ASSERT_EQ(complete(xsk, 1).front().value / 2, addr.value / 2);
  }
  EXPECT_EQ(must(xsk.statistics()).tx_invalid_descs, 0U);
}

TEST_P(XskTest, AllRingsWrapAround) {
  constexpr std::uint32_t kFew = 8;
  constexpr std::uint32_t kBatch = 5;  // not a divisor
  constexpr std::uint32_t kRounds = 40;
  XskSetup setup = setup_of(GetParam());
  setup.rx_ring = setup.tx_ring = setup.fill_ring = setup.completion_ring = kFew;
  Xsk xsk = open(setup);
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  fill(xsk, 0, kFew);
  EXPECT_EQ(xsk.fill_room(), 0U);
  std::uint32_t seed = 0;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    const std::uint32_t first = seed;
    for (std::uint32_t i = 0; i < kBatch; ++i) peer.send(frame_of(kShortest, seed++));
    const std::vector<Received> received = receive(xsk, kBatch);
    ASSERT_EQ(xsk.send_room(), kFew);
    for (std::uint32_t i = 0; i < kBatch; ++i) {
      ASSERT_EQ(chunks_.copy(received[i].addr, received[i].len), frame_of(kShortest, first + i));
      xsk.send(received[i].addr, received[i].len, false);
    }
    flush(xsk);
    for (std::uint32_t i = 0; i < kBatch; ++i)
      ASSERT_EQ(peer.receive(), frame_of(kShortest, first + i));
    const std::vector<FrameAddr> completed = complete(xsk, kBatch);
    for (std::uint32_t i = 0; i < kBatch; ++i) ASSERT_EQ(completed[i], received[i].addr);
    fill(xsk, completed);
  }
  const XskStatistics statistics = must(xsk.statistics());
  EXPECT_EQ(statistics.rx_dropped + statistics.rx_ring_full + statistics.rx_fill_ring_empty_descs +
                statistics.rx_invalid_descs + statistics.tx_invalid_descs,
            0U);
}

TEST_P(XskTest, CountsFramesThatFindNoChunk) {
  constexpr std::uint32_t kChunksLent = 4;
  constexpr std::uint32_t kSent = 10;
  Xsk xsk = open();
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  fill(xsk, 0, kChunksLent);
  for (std::uint32_t i = 0; i < kSent; ++i) peer.send(frame_of(kShortest, i));
  EXPECT_EQ(receive(xsk, kChunksLent).size(), kChunksLent);
  const XskStatistics statistics = must(xsk.statistics());
  EXPECT_EQ(statistics.rx_dropped, kSent - kChunksLent);
  EXPECT_EQ(statistics.rx_fill_ring_empty_descs, kSent - kChunksLent);
  EXPECT_EQ(statistics.rx_ring_full, 0U);
}

TEST_P(XskTest, CountsFramesThatFindTheRxRingFull) {
  constexpr std::uint32_t kFew = 4;
  constexpr std::uint32_t kSent = 10;
  XskSetup setup = setup_of(GetParam());
  setup.rx_ring = kFew;
  Xsk xsk = open(setup);
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  fill(xsk, 0, kEntries);
  for (std::uint32_t i = 0; i < kSent; ++i) peer.send(frame_of(kShortest, i));
  EXPECT_EQ(receive(xsk, kFew).size(), kFew);
  const XskStatistics statistics = must(xsk.statistics());
  EXPECT_EQ(statistics.rx_ring_full, kSent - kFew);
  EXPECT_EQ(statistics.rx_fill_ring_empty_descs, 0U);
}

// A call ends at the one it refuses, and does not say so. Whether that is completed differs: Linux
// 6.1 keeps it, 6.18 gives it back.
TEST_P(XskTest, RefusesADescriptorThatCrossesTheBorderOfAChunk) {
  Xsk xsk = open();
  const PacketSocket peer(blue(), wire_.b);
  const Bytes frame = frame_of(kShortest);
  put(Chunks::chunk(2), frame);
  xsk.send({kChunkBytes - 10}, kShortest, false);
  xsk.send(Chunks::chunk(2), kShortest, false);
  xsk.publish_send();
  EXPECT_EQ(kick(xsk), 0);
  EXPECT_EQ(kick(xsk), 0);
  EXPECT_EQ(peer.receive(), frame);
  EXPECT_EQ(peer.take(), std::nullopt);
  EXPECT_EQ(must(xsk.statistics()).tx_invalid_descs, 1U);
}

TEST_P(XskTest, FramesForADownPeerAreDroppedAndCompleted) {
  Xsk xsk = open();
  must(must(Links::open(blue())).configure(wire_.b, {.up = false}));
  put(Chunks::chunk(0), frame_of(kShortest));
  xsk.send(Chunks::chunk(0), kShortest, false);
  xsk.publish_send();
  EXPECT_EQ(kick(xsk), EBUSY);
  EXPECT_EQ(complete(xsk, 1).front(), Chunks::chunk(0));
}

TEST_P(XskTest, ADownDeviceLetsFramesWait) {
  must(must(Links::open(red())).configure(wire_.a, {.up = false}));
  Xsk xsk = open();
  const PacketSocket peer(blue(), wire_.b);
  const Bytes frame = frame_of(kShortest);
  put(Chunks::chunk(0), frame);
  xsk.send(Chunks::chunk(0), kShortest, false);
  xsk.publish_send();
  EXPECT_EQ(kick(xsk), ENETDOWN);
  must(must(Links::open(red())).configure(wire_.a, {.up = true}));
  EXPECT_EQ(kick(xsk), 0);
  EXPECT_EQ(peer.receive(), frame);
}

// net/xdp/xsk.c: TX_BATCH_SIZE. Who sends more must call again, or frames wait for ever.
TEST_P(XskTest, ACallSends32FramesAndSaysThatThereAreMore) {
  constexpr std::uint32_t kBatch = 32;
  Xsk xsk = open();
  for (std::uint32_t i = 0; i < kBatch + 1; ++i) {
    put(Chunks::chunk(i), frame_of(kShortest, i));
    xsk.send(Chunks::chunk(i), kShortest, false);
  }
  xsk.publish_send();
  EXPECT_TRUE(xsk.send_needs_wakeup()) << "always, in copy mode";
  EXPECT_EQ(kick(xsk), EAGAIN);
  EXPECT_EQ(complete(xsk, kBatch).size(), kBatch);
  EXPECT_EQ(xsk.complete(kEntries, [](FrameAddr) {}), 0U);
  EXPECT_EQ(kick(xsk), 0);
  EXPECT_EQ(complete(xsk, 1).size(), 1U);
}

// As many sends as there are places in the completion ring; more only once that has been read.
// Linux 6.18 says EAGAIN, 6.1 nothing at all.
TEST_P(XskTest, AFullCompletionRingStopsSending) {
  constexpr std::uint32_t kFew = 8;
  XskSetup setup = setup_of(GetParam());
  setup.completion_ring = kFew;
  Xsk xsk = open(setup);
  for (std::uint32_t i = 0; i < kFew + 1; ++i) {
    put(Chunks::chunk(i), frame_of(kShortest, i));
    xsk.send(Chunks::chunk(i), kShortest, false);
  }
  xsk.publish_send();
  EXPECT_EQ(xsk.unsent(), kFew + 1);
  for (int tries = 0; tries < 3; ++tries) {
    const int error = kick(xsk);
    EXPECT_TRUE(error == EAGAIN || error == 0) << error;
    EXPECT_GE(xsk.unsent(), 1U);
  }
  EXPECT_EQ(complete(xsk, kFew).size(), kFew);
  EXPECT_EQ(kick(xsk), 0);
  EXPECT_EQ(xsk.unsent(), 0U);
  EXPECT_EQ(complete(xsk, 1).size(), 1U);
}

TEST_P(XskTest, SaysOnceThatItsDeviceHasGone) {
  const Xsk xsk = open();
  must(must(Links::open(red())).remove(wire_.a));
  int error = 0;
  socklen_t bytes = sizeof error;
  EXPECT_EQ(::getsockopt(xsk.fd(), SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
  EXPECT_EQ(error, ENETDOWN);
  EXPECT_EQ(kick(xsk), ENXIO) << "and from then on";
  pollfd ready{.fd = xsk.fd(), .events = POLLIN | POLLOUT, .revents = 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0) << "poll does not tell";
}

TEST_P(XskTest, PollSendsToo) {
  Xsk xsk = open();
  const PacketSocket peer(blue(), wire_.b);
  const Bytes frame = frame_of(kShortest);
  put(Chunks::chunk(0), frame);
  xsk.send(Chunks::chunk(0), kShortest, false);
  xsk.publish_send();
  pollfd ready{.fd = xsk.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  EXPECT_EQ(peer.receive(), frame);
}

TEST_P(XskTest, IsReadableWhileTheRxRingHasFrames) {
  Xsk xsk = open();
  const Redirect redirect = steer(xsk);
  const PacketSocket peer(blue(), wire_.b);
  fill(xsk, 0, kEntries);
  pollfd ready{.fd = xsk.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  peer.send(frame_of(kShortest));
  ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
  EXPECT_EQ(ready.revents, POLLIN);
  EXPECT_EQ(receive(xsk, 1).size(), 1U);
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
}

TEST_P(XskTest, AQueueIsFreeAgainAfterItsSocketHasGone) {
  for (int i = 0; i < 20; ++i) {
    const auto opened = Xsk::open(red(), setup_of(GetParam()), chunks_.memory(), {});
    ASSERT_TRUE(opened) << i << ": " << opened.error().text();
  }
}

// Each has a UMEM of its own over the same memory: an address means the same to both.
TEST_P(XskTest, SendsFromWhereAnotherSocketReceived) {
  const Netns green = make_silent_netns("green");
  const Netns white = make_silent_netns("white");
  const VethEnds second = make_wire(green, "a", white, "b");
  const XskMode other = GetParam() == XskMode::copy ? XskMode::generic : XskMode::copy;
  Xsk in = open();
  Xsk out = must(Xsk::open(green, setup_of(other), chunks_.memory(), {}));
  const Redirect redirect = steer(in);
  const PacketSocket source(blue(), wire_.b);
  const PacketSocket sink(white, second.b);
  fill(in, 0, kEntries);
  for (std::uint32_t seed = 0; seed < 3 * kEntries; ++seed) {
    const Bytes frame = frame_of(kShortest + seed, seed);
    source.send(frame);
    const Received received = receive(in, 1).front();
    ASSERT_EQ(out.send_room(), kEntries);
    out.send(received.addr, received.len, false);
    flush(out);
    ASSERT_EQ(sink.receive(), frame);
    const std::vector<FrameAddr> home = complete(out, 1);
    ASSERT_EQ(home.front(), received.addr);
    fill(in, home);
  }
}

// veth: what leaves by queue i arrives on queue i. Not so without NAPI, which native XDP turns on:
// queue_mapping, i, is then read as that of a receiver, which is one more than its queue
// (skb_get_rx_queue()), and 0 as none.
TEST_P(XskTest, TwoQueuesOfADeviceHaveASocketEach) {
  const Netns green = make_silent_netns("green");
  const Netns white = make_silent_netns("white");
  const VethEnds ends = make_wire(green, "c", white, "d", 1500, 2);
  std::deque<Xsk> here;
  std::deque<Xsk> there;
  for (const QueueId queue : {QueueId{0}, QueueId{1}}) {
    XskSetup setup = setup_of(GetParam(), "c");
    setup.queue = queue;
    here.push_back(must(Xsk::open(green, setup, chunks_.memory(), {})));
    setup.ifname = "d";
    there.push_back(must(Xsk::open(white, setup, chunks_.memory(), {})));
  }
  Redirect redirect = must(Redirect::attach(green, ends.a, {}, GetParam(), false));
  for (std::uint16_t queue = 0; queue < 2; ++queue) {
    must(redirect.add({queue}, here[queue].fd()));
    fill(here[queue], std::size_t{kEntries} * queue, kEntries);
  }
  for (std::uint16_t queue = 0; queue < 2; ++queue) {
    const Bytes frame = frame_of(kShortest, queue);
    const FrameAddr addr = Chunks::chunk(kChunks - 1);
    put(addr, frame);
    there[queue].send(addr, kShortest, false);
    flush(there[queue]);
    const std::size_t arrives = GetParam() == XskMode::generic ? 0 : queue;
    const Received received = receive(here[arrives], 1).front();
    EXPECT_EQ(chunks_.copy(received.addr, received.len), frame);
    EXPECT_EQ(received.addr.value / kChunkBytes / kEntries, arrives) << "from its own fill ring";
    EXPECT_EQ(complete(there[queue], 1).front(), addr);
  }
}

class Jumbo : public XskTest {
 protected:
  static constexpr std::uint32_t kMtu = 9000;
  static constexpr std::size_t kFrameBytes = kMtu + 14;
  static constexpr std::size_t kParts = 3;  // of 3840 bytes at most

  void SetUp() override {
    XskTest::SetUp();
    if (IsSkipped()) return;
    for (auto [ns, ifindex] : {std::pair{&red(), wire_.a}, std::pair{&blue(), wire_.b}})
      must(must(Links::open(*ns)).configure(ifindex, {.mtu = kMtu}));
    setup_ = setup_of(GetParam());
    setup_.multi_buffer = true;
    auto opened = Xsk::open(red(), setup_, chunks_.memory(), {});
    if (!opened && opened.error().code == EINVAL) GTEST_SKIP() << opened.error().text();
    xsk_.emplace(must(std::move(opened)));
  }
  XskSetup setup_;
  std::optional<Xsk> xsk_;
};

INSTANTIATE_TEST_SUITE_P(Veth, Jumbo, ::testing::Values(XskMode::copy, XskMode::generic),
                         [](const auto& instance) { return name_of(instance.param); });

TEST_P(Jumbo, FramesArriveInSeveralDescriptors) {
  Redirect redirect = must(Redirect::attach(red(), wire_.a, {}, GetParam(), true));
  must(redirect.add(kQueue, xsk_->fd()));
  fill(*xsk_, 0, kEntries);
  const PacketSocket peer(blue(), wire_.b);
  const Bytes frame = frame_of(kFrameBytes);
  peer.send(frame);
  const std::vector<Received> parts = receive(*xsk_, kParts);
  Bytes whole;
  for (const Received& part : parts) {
    const Bytes bytes = chunks_.copy(part.addr, part.len);
    whole.insert(whole.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(part.continues, &part != &parts.back());
  }
  EXPECT_EQ(whole, frame);
}

TEST_P(Jumbo, FramesAreSentFromSeveralDescriptors) {
  const PacketSocket peer(blue(), wire_.b);
  const Bytes frame = frame_of(kFrameBytes);
  std::vector<FrameAddr> sent;
  for (std::size_t part = 0; part < kParts; ++part) {
    const std::size_t start = part * kChunkFrameBytes;
    const std::size_t bytes = std::min(kChunkFrameBytes, frame.size() - start);
    const FrameAddr addr{Chunks::chunk(part).value + kChunkHeadroom};
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(start), bytes, chunks_.at(addr));
    xsk_->send(addr, static_cast<std::uint32_t>(bytes), part + 1 < kParts);
    sent.push_back(addr);
  }
  flush(*xsk_);
  EXPECT_EQ(peer.receive(), frame);
  EXPECT_EQ(complete(*xsk_, kParts), sent) << "each of them";
}

// The stack's hook takes the program, and a frame longer than a chunk is lost; veth's does not.
TEST_P(Jumbo, AreNotToBeHadWithoutMultiBuffer) {
  xsk_.reset();
  setup_.multi_buffer = false;
  Xsk xsk = open(setup_);
  Result<Redirect> redirect = Redirect::attach(red(), wire_.a, {}, GetParam(), false);
  ASSERT_EQ(redirect.has_value(), GetParam() == XskMode::generic);
  if (!redirect) {
    EXPECT_EQ(redirect.error().code, ERANGE) << redirect.error().text();
    return;
  }
  must(redirect->add(kQueue, xsk.fd()));
  fill(xsk, 0, kEntries);
  const PacketSocket peer(blue(), wire_.b);
  peer.send(frame_of(kFrameBytes));
  peer.send(frame_of(kShortest, 1));
  const Received received = receive(xsk, 1).front();
  EXPECT_EQ(chunks_.copy(received.addr, received.len), frame_of(kShortest, 1));
  EXPECT_EQ(must(xsk.statistics()).rx_dropped, 1U);
}

TEST_F(Room, ASocketOutlivesTheOneOpenedBeforeIt) {
  const Netns green = make_silent_netns("green");
  const Netns white = make_silent_netns("white");
  const VethEnds second = make_wire(green, "a", white, "b");
  std::optional<Xsk> first = must(Xsk::open(red(), setup_of(XskMode::copy), chunks_.memory(), {}));
  Xsk other = must(Xsk::open(green, setup_of(XskMode::copy), chunks_.memory(), {}));
  first.reset();
  const PacketSocket sink(white, second.b);
  const Bytes frame = frame_of(kShortest);
  std::copy(frame.begin(), frame.end(), chunks_.at(Chunks::chunk(7)));
  other.send(Chunks::chunk(7), kShortest, false);
  flush(other);
  EXPECT_EQ(sink.receive(), frame);
}

void expect_refusal(const Result<Xsk>& refused, int code, const std::string& doing,
                    const std::string& hint) {
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, code) << refused.error().text();
  EXPECT_EQ(refused.error().doing, doing);
  EXPECT_NE(refused.error().hint.find(hint), std::string::npos) << refused.error().text();
}

TEST_F(Room, ZeroCopyOnAVethIsRefused) {
  expect_refusal(Xsk::open(red(), setup_of(XskMode::zerocopy), chunks_.memory(), {}), EOPNOTSUPP,
                 "open an AF_XDP socket on red/a queue 0 (zerocopy)",
                 "its driver veth has no zero-copy in this kernel; or set mode = \"copy\"");
}

TEST_F(Room, AQueueThatIsNotThereIsRefused) {
  XskSetup setup = setup_of(XskMode::copy);
  setup.queue = {4};
  expect_refusal(Xsk::open(red(), setup, chunks_.memory(), {}), EINVAL,
                 "open an AF_XDP socket on red/a queue 4 (copy)",
                 "it has queue 0 only; more with: ethtool -L a rx 5 tx 5");
}

TEST_F(Room, ADeviceThatIsNotThereIsRefused) {
  expect_refusal(Xsk::open(red(), setup_of(XskMode::copy, "b"), chunks_.memory(), {}), ENODEV,
                 "open an AF_XDP socket on red/b queue 0 (copy)",
                 "no such device in this namespace");
}

TEST_F(Room, ASecondSocketOnAQueueIsRefused) {
  const Xsk first = must(Xsk::open(red(), setup_of(XskMode::copy), chunks_.memory(), {}));
  for (const XskMode mode : {XskMode::copy, XskMode::generic, XskMode::zerocopy})
    expect_refusal(Xsk::open(red(), setup_of(mode), chunks_.memory(), {}), EBUSY,
                   "open an AF_XDP socket on red/a queue 0 (" + std::string(name_of(mode)) + ")",
                   "another AF_XDP socket has this queue");
}

/// Mappings of AF_XDP rings in this process: each holds its socket, and that its frame memory.
std::size_t rings_mapped() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("socket:[") != std::string::npos ? 1 : 0;
  return count;
}

// Neither by us nor by libxdp.
TEST_F(Room, ARefusedSocketLeavesNothingMapped) {
  ASSERT_EQ(rings_mapped(), 0U);
  {
    const Xsk xsk = must(Xsk::open(red(), setup_of(XskMode::copy), chunks_.memory(), {}));
    EXPECT_EQ(rings_mapped(), 4U);
  }
  EXPECT_EQ(rings_mapped(), 0U);
  EXPECT_FALSE(Xsk::open(red(), setup_of(XskMode::zerocopy), chunks_.memory(), {}));
  EXPECT_FALSE(Xsk::open(red(), setup_of(XskMode::copy, "b"), chunks_.memory(), {}));
  EXPECT_EQ(rings_mapped(), 0U);
}

/// Runs in a thread of its own that has lost a capability.
template <class Fn>
void without_capability(unsigned capability, Fn&& fn) {
  std::thread{[&] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> sets{};
    ASSERT_EQ(::syscall(SYS_capget, &header, sets.data()), 0);
    sets[capability / 32].effective &= ~(1U << capability % 32);
    ASSERT_EQ(::syscall(SYS_capset, &header, sets.data()), 0);
    fn();
  }}.join();
}

TEST_F(Room, ATooSmallLimitOfLockedMemoryIsNamed) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const rlimit small{.rlim_cur = 4096, .rlim_max = limit.rlim_max};
  ::setrlimit(RLIMIT_MEMLOCK, &small);
  without_capability(CAP_IPC_LOCK, [&] {
    expect_refusal(Xsk::open(red(), setup_of(XskMode::copy), chunks_.memory(), {}), ENOBUFS,
                   "open an AF_XDP socket on red/a queue 0 (copy)", "LimitMEMLOCK");
  });
  ::setrlimit(RLIMIT_MEMLOCK, &limit);
}

TEST_F(Room, MissingCapabilitiesAreNamed) {
  without_capability(CAP_NET_RAW, [&] {
    expect_refusal(Xsk::open(red(), setup_of(XskMode::copy), chunks_.memory(), {}), EPERM,
                   "open an AF_XDP socket on red/a queue 0 (copy)", "CAP_NET_RAW");
  });
}

TEST_F(Room, BusyPollingIsSet) {
  XskSetup setup = setup_of(XskMode::copy);
  setup.busy_poll_budget = 64;
  setup.busy_poll_usecs = 20;
  const Xsk xsk = must(Xsk::open(red(), setup, chunks_.memory(), {}));
  const auto option = [&](int name) {
    int value = -1;
    socklen_t bytes = sizeof value;
    EXPECT_EQ(::getsockopt(xsk.fd(), SOL_SOCKET, name, &value, &bytes), 0);
    return value;
  };
  EXPECT_EQ(option(SO_PREFER_BUSY_POLL), 1);
  EXPECT_EQ(option(SO_BUSY_POLL), 20);
}

}  // namespace
}  // namespace vethd::test

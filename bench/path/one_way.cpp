#include "bench/path/one_way.hpp"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstring>
#include <thread>

#include "daemon/netns/namespace.hpp"

namespace vethd::bench {
namespace {

using std::chrono::nanoseconds;
using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 9000;
constexpr unsigned kBatchFrames = 64;  // per sendmmsg and recvmmsg
// What a sender that was held up may catch up on in one go; the rest of its time is forfeited and
// shows as a rate below the one asked for. Far below the 1000 frames of a TAP ring.
constexpr double kBucketFrames = 128;
constexpr nanoseconds kTick = 250us;      // wake-ups of Pace::sleep
constexpr nanoseconds kQuiet = 100ms;     // no arrival for this long: the rest is lost
constexpr nanoseconds kDrainLimit = 10s;  // of a sink that is still busy after the sender stopped
constexpr nanoseconds kDrainLook = 1ms;   // between looks at the sink
constexpr timeval kReceiveTimeout{0, 20000};  // between the sink's looks at its stop flag

/// What travels in each frame; the rest of the payload is zero.
struct Stamp {
  std::uint64_t sequence;
  std::uint32_t trial;  // frames of an earlier trial are not counted
  std::uint32_t unused;
};
static_assert(sizeof(Stamp) + kOverheadBytes <= kMinFrameBytes);

/// kBatchFrames messages with a payload each, ready for sendmmsg and recvmmsg.
class Batch {
 public:
  explicit Batch(std::size_t payload_bytes) {
    for (unsigned i = 0; i < kBatchFrames; ++i) {
      parts_[i] = {.iov_base = payloads_[i].data(), .iov_len = payload_bytes};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  mmsghdr* messages() { return messages_.data(); }

  [[nodiscard]] Stamp stamp(unsigned i) const {
    Stamp stamp{};
    std::memcpy(&stamp, payloads_[i].data(), sizeof stamp);
    return stamp;
  }
  void set_stamp(unsigned i, const Stamp& stamp) {
    std::memcpy(payloads_[i].data(), &stamp, sizeof stamp);
  }

 private:
  std::array<std::array<std::byte, kMaxFrameBytes>, kBatchFrames> payloads_{};
  std::array<iovec, kBatchFrames> parts_{};
  std::array<mmsghdr, kBatchFrames> messages_{};
};

/// Receives on its own thread until it is destroyed or stopped.
class Sink {
 public:
  Sink(const Fd& socket, std::uint32_t trial, int cpu)
      : thread_([this, &socket, trial, cpu](const std::stop_token& stop) {
          run(stop, socket, trial, cpu);
        }) {}

  [[nodiscard]] std::uint64_t received() const { return received_.load(std::memory_order_relaxed); }

  /// Ends the thread; what it counted and its error are final afterwards.
  Result<std::uint64_t> stop_and_count_reordered() {
    thread_.request_stop();
    thread_.join();
    if (!result_) return pass(std::move(result_));
    return reordered_;
  }

 private:
  void run(const std::stop_token& stop, const Fd& socket, std::uint32_t trial, int cpu) {
    result_ = pin_to_cpu(cpu);
    if (!result_) return;
    Batch batch(kMaxFrameBytes);
    std::uint64_t expected = 0;  // one above the highest sequence seen
    std::uint64_t received = 0;
    while (!stop.stop_requested()) {
      const int count =
          ::recvmmsg(socket.get(), batch.messages(), kBatchFrames, MSG_WAITFORONE, nullptr);
      if (count < 0) {
        if (errno == EAGAIN) continue;
        result_ = fail("receive test frames");
        return;
      }
      for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
        const Stamp stamp = batch.stamp(i);
        if (stamp.trial != trial) continue;
        ++received;
        if (stamp.sequence < expected) ++reordered_;
        expected = std::max(expected, stamp.sequence + 1);
      }
      received_.store(received, std::memory_order_relaxed);
    }
  }

  std::atomic<std::uint64_t> received_ = 0;
  std::uint64_t reordered_ = 0;
  Result<void> result_;
  std::jthread thread_;  // last: it uses what stands above
};

/// When the next frames may leave: a token bucket filled by the clock.
class Pacer {
 public:
  Pacer(const Load& load, SteadyClock::time_point start) : load_(load), start_(start) {}

  /// Frames that may leave now, at most one batch.
  unsigned due(SteadyClock::time_point now, std::uint64_t sent) {
    if (!load_.fps) return kBatchFrames;
    const double earned = std::chrono::duration<double>(now - start_).count() * *load_.fps;
    const double tokens = earned - forfeited_ - static_cast<double>(sent);
    // A tick's worth is meant to leave at once; only what exceeds it was held up.
    const double tick = std::chrono::duration<double>(kTick).count() * *load_.fps;
    const double bucket = kBucketFrames + (load_.pace == Pace::sleep ? tick : 0);
    if (tokens > bucket) forfeited_ += tokens - bucket;
    return static_cast<unsigned>(std::clamp(tokens, 0.0, static_cast<double>(kBatchFrames)));
  }

  void wait(SteadyClock::time_point now) const {
    if (load_.pace == Pace::spin) return;
    const auto next = (now - start_) / kTick * kTick + kTick + start_;
    std::this_thread::sleep_until(next);
  }

 private:
  const Load& load_;
  SteadyClock::time_point start_;
  double forfeited_ = 0;  // frames
};

/// Sends the load; returns how many frames the kernel took.
Result<std::uint64_t> send_load(const Fd& socket, std::size_t payload_bytes, std::uint32_t trial,
                                const Load& load, SteadyClock::time_point start) {
  Batch batch(payload_bytes);
  Pacer pacer(load, start);
  std::uint64_t sent = 0;
  for (auto now = start; now - start < load.duration; now = SteadyClock::now()) {
    const unsigned due = pacer.due(now, sent);
    if (due == 0) {
      pacer.wait(now);
      continue;
    }
    for (unsigned i = 0; i < due; ++i) {
      batch.set_stamp(i, {.sequence = sent + i, .trial = trial, .unused = 0});
    }
    const int count = ::sendmmsg(socket.get(), batch.messages(), due, 0);
    if (count < 0) return fail("send test frames", "is the device up, the neighbour known?");
    sent += static_cast<unsigned>(count);
  }
  return sent;
}

/// Waits until the sink has what was sent, or nothing more comes.
Result<void> drain(const Sink& sink, std::uint64_t sent) {
  const auto start = SteadyClock::now();
  auto last_arrival = start;
  std::uint64_t seen = sink.received();
  while (seen < sent) {
    std::this_thread::sleep_for(kDrainLook);
    const auto now = SteadyClock::now();
    const std::uint64_t received = sink.received();
    if (received != seen) last_arrival = now;
    seen = received;
    if (now - last_arrival > kQuiet) return {};
    if (now - start > kDrainLimit) return fail("drain the sink", "it never caught up", ETIMEDOUT);
  }
  return {};
}

/// Frames the socket has dropped since it was opened because its buffer was full.
Result<std::uint32_t> socket_drops(const Fd& socket) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) < 0) {
    return fail("read the sink's drop counter");
  }
  return info[SK_MEMINFO_DROPS];
}

Result<sockaddr_in> parse_address(const std::string& address) {
  sockaddr_in parsed{};
  parsed.sin_family = AF_INET;
  parsed.sin_port = htons(kPort);
  if (::inet_pton(AF_INET, address.c_str(), &parsed.sin_addr) != 1) {
    return fail("read address " + address, "an IPv4 address is wanted", EINVAL);
  }
  return parsed;
}

template <class Attach>
Result<Fd> open_udp(const std::string& netns, const std::string& address, Attach attach) {
  Result<sockaddr_in> parsed = parse_address(address);
  if (!parsed) return pass(std::move(parsed));
  Result<Netns> ns = Netns::open({.kind = config::NetnsRef::Kind::name, .text = netns});
  if (!ns) return pass(std::move(ns));
  return in_netns(*ns, [&]() -> Result<Fd> {
    Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket.is_open()) return fail("open a UDP socket in " + netns);
    if (attach(socket.get(), reinterpret_cast<const sockaddr*>(&*parsed), sizeof *parsed) < 0) {
      return fail("use address " + address + " in " + netns, "is the device up and addressed?");
    }
    return socket;
  });
}

}  // namespace

Result<Fd> bind_udp(const std::string& netns, const std::string& address) {
  return open_udp(netns, address, ::bind);
}

Result<Fd> connect_udp(const std::string& netns, const std::string& address) {
  return open_udp(netns, address, ::connect);
}

Result<OneWay> OneWay::open(const Ends& ends) {
  Result<Fd> receiver = bind_udp(ends.to_netns, ends.to_address);
  if (!receiver) return pass(std::move(receiver));
  Result<Fd> sender = connect_udp(ends.from_netns, ends.to_address);
  if (!sender) return pass(std::move(sender));

  constexpr int kBufferBytes = INT_MAX / 2;  // the most SO_RCVBUFFORCE takes; the kernel doubles it
  if (::setsockopt(receiver->get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes,
                   sizeof kBufferBytes) < 0) {
    return fail("widen the sink's buffer", "run as root");
  }
  ::setsockopt(receiver->get(), SOL_SOCKET, SO_RCVTIMEO, &kReceiveTimeout, sizeof kReceiveTimeout);
  return OneWay(ends, std::move(*sender), std::move(*receiver));
}

Result<Outcome> OneWay::trial(const Load& load) {
  Result<void> pinned = pin_to_cpu(ends_.sender_cpu);
  if (!pinned) return pass(std::move(pinned));
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // wake at the tick, not up to 50 us later

  Result<std::uint32_t> drops_before = socket_drops(receiver_);
  if (!drops_before) return pass(std::move(drops_before));
  const std::uint32_t trial = ++trials_;
  Sink sink(receiver_, trial, ends_.receiver_cpu);

  Result<CpuTime> cpu_before = read_cpu_time(ends_.forwarder);
  if (!cpu_before) return pass(std::move(cpu_before));
  const auto start = SteadyClock::now();
  Result<std::uint64_t> sent =
      send_load(sender_, ends_.frame_bytes - kOverheadBytes, trial, load, start);
  const nanoseconds duration = SteadyClock::now() - start;
  if (!sent) return pass(std::move(sent));
  Result<void> drained = drain(sink, *sent);
  if (!drained) return pass(std::move(drained));
  Result<CpuTime> cpu_after = read_cpu_time(ends_.forwarder);
  if (!cpu_after) return pass(std::move(cpu_after));

  Result<std::uint64_t> reordered = sink.stop_and_count_reordered();
  if (!reordered) return pass(std::move(reordered));
  Result<std::uint32_t> drops_after = socket_drops(receiver_);
  if (!drops_after) return pass(std::move(drops_after));
  if (*drops_after != *drops_before) {
    return fail("keep every frame that arrived",
                "the sink's buffer overflowed; use shorter trials or raise net.ipv4.udp_mem",
                ENOBUFS);
  }
  return Outcome{.sent = *sent,
                 .received = sink.received(),
                 .reordered = *reordered,
                 .duration = duration,
                 .cpu = *cpu_after - *cpu_before};
}

}  // namespace vethd::bench

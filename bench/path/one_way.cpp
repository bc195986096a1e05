#include "bench/path/one_way.hpp"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstring>
#include <thread>

#include "bench/path/usage.hpp"
#include "daemon/netns/namespace.hpp"

namespace vethd::bench {
namespace {

using std::chrono::nanoseconds;
using SteadyClock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 9000;  // of the first flow
constexpr unsigned kBatchFrames = 64;  // per sendmmsg and recvmmsg
// What a sender that was held up may catch up on in one go; the rest of its time is forfeited and
// shows as a rate below the one asked for. Far below the 1000 frames of a TAP ring.
constexpr double kBucketFrames = 128;
constexpr nanoseconds kTick = 250us;      // wake-ups of Pace::sleep
constexpr nanoseconds kQuiet = 100ms;     // no arrival for this long: the rest is lost
constexpr nanoseconds kDrainLimit = 10s;  // of a sink that is still busy after the sender stopped
constexpr nanoseconds kDrainLook = 1ms;   // between looks at the sink
constexpr int kReceiveTimeoutMs = 20;     // between the sink's looks at its stop flag
constexpr timeval kReceiveTimeout{0, kReceiveTimeoutMs * 1000L};

/// What travels in each frame; the rest of the payload is zero.
struct Stamp {
  std::uint64_t sequence;  // within its flow
  std::uint32_t trial;     // frames of an earlier trial are not counted
  std::uint32_t flow;
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
  void set_destination(unsigned i, sockaddr_in& address) {
    messages_[i].msg_hdr.msg_name = &address;
    messages_[i].msg_hdr.msg_namelen = sizeof address;
  }

 private:
  std::array<std::array<std::byte, kMaxFrameBytes>, kBatchFrames> payloads_{};
  std::array<iovec, kBatchFrames> parts_{};
  std::array<mmsghdr, kBatchFrames> messages_{};
};

/// Receives on its own thread until it is destroyed or stopped.
class Sink {
 public:
  Sink(const std::vector<Fd>& sockets, std::uint32_t trial, int cpu)
      : sockets_(sockets),
        trial_(trial),
        expected_(sockets.size()),
        thread_([this, cpu](const std::stop_token& stop) {
          result_ = pin_to_cpu(cpu);
          if (result_) result_ = run(stop);
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
  Result<void> run(const std::stop_token& stop) {
    if (sockets_.size() > 1) return run_many(stop);
    while (!stop.stop_requested()) {
      Result<void> read = receive(sockets_.front(), MSG_WAITFORONE);
      if (!read) return read;
    }
    return {};
  }

  Result<void> run_many(const std::stop_token& stop) {
    const Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    for (std::uint32_t flow = 0; flow < sockets_.size(); ++flow) {
      epoll_event wanted{.events = EPOLLIN, .data = {.u32 = flow}};
      if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, sockets_[flow].get(), &wanted) < 0) {
        return fail("watch the sink's sockets");
      }
    }
    std::array<epoll_event, kBatchFrames> ready{};
    while (!stop.stop_requested()) {
      const int count = ::epoll_wait(epoll.get(), ready.data(), ready.size(), kReceiveTimeoutMs);
      for (int i = 0; i < count; ++i) {
        Result<void> read =
            receive(sockets_[ready[static_cast<unsigned>(i)].data.u32], MSG_DONTWAIT);
        if (!read) return read;
      }
    }
    return {};
  }

  /// One batch from one socket.
  Result<void> receive(const Fd& socket, int flags) {
    const int count = ::recvmmsg(socket.get(), batch_.messages(), kBatchFrames, flags, nullptr);
    if (count < 0) {
      if (errno == EAGAIN) return {};
      return fail("receive test frames");
    }
    std::uint64_t received = this->received();
    for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) {
      const Stamp stamp = batch_.stamp(i);
      if (stamp.trial != trial_ || stamp.flow >= expected_.size()) continue;
      ++received;
      std::uint64_t& expected = expected_[stamp.flow];
      if (stamp.sequence < expected) ++reordered_;
      expected = std::max(expected, stamp.sequence + 1);
    }
    received_.store(received, std::memory_order_relaxed);
    return {};
  }

  const std::vector<Fd>& sockets_;
  std::uint32_t trial_;
  Batch batch_{kMaxFrameBytes};
  std::vector<std::uint64_t> expected_;  // by flow: one above the highest sequence seen
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

/// Sends the load; returns how many frames the kernel took. With more than one flow each frame
/// names its destination, so that flows alternate frame by frame and a batch is one system call all
/// the same; it costs the sender a route lookup per frame.
Result<std::uint64_t> send_load(const Fd& socket, std::vector<sockaddr_in>& flows,
                                std::size_t payload_bytes, std::uint32_t trial, const Load& load,
                                SteadyClock::time_point start) {
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
      const auto flow = static_cast<std::uint32_t>((sent + i) % flows.size());
      batch.set_stamp(i, {.sequence = (sent + i) / flows.size(), .trial = trial, .flow = flow});
      if (flows.size() > 1) batch.set_destination(i, flows[flow]);
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

Result<sockaddr_in> parse_address(const std::string& address, unsigned flow) {
  sockaddr_in parsed{};
  parsed.sin_family = AF_INET;
  parsed.sin_port = htons(static_cast<std::uint16_t>(kPort + flow));
  if (::inet_pton(AF_INET, address.c_str(), &parsed.sin_addr) != 1) {
    return fail("read address " + address, "an IPv4 address is wanted", EINVAL);
  }
  return parsed;
}

template <class Attach>
Result<Fd> open_udp(const std::string& netns, const std::string& address, unsigned flow,
                    Attach attach) {
  Result<sockaddr_in> parsed = parse_address(address, flow);
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

Result<Fd> bind_udp(const std::string& netns, const std::string& address, unsigned flow) {
  return open_udp(netns, address, flow, ::bind);
}

Result<Fd> connect_udp(const std::string& netns, const std::string& address) {
  return open_udp(netns, address, 0, ::connect);
}

Result<Fd> bind_sink(const std::string& netns, const std::string& address, unsigned flow) {
  constexpr int kBufferBytes = INT_MAX / 2;  // the most SO_RCVBUFFORCE takes; the kernel doubles it
  Result<Fd> sink = bind_udp(netns, address, flow);
  if (!sink) return sink;
  if (::setsockopt(sink->get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes) <
      0) {
    return fail("widen the sink's buffer", "run as root");
  }
  ::setsockopt(sink->get(), SOL_SOCKET, SO_RCVTIMEO, &kReceiveTimeout, sizeof kReceiveTimeout);
  return sink;
}

Result<std::uint64_t> socket_drops(std::span<const Fd> sockets) {
  std::uint64_t drops = 0;
  for (const Fd& socket : sockets) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) < 0) {
      return fail("read the sink's drop counter");
    }
    drops += info[SK_MEMINFO_DROPS];
  }
  return drops;
}

Result<OneWay> OneWay::open(const Ends& ends) {
  std::vector<Fd> receivers;
  for (unsigned flow = 0; flow < ends.flows; ++flow) {
    Result<Fd> receiver = bind_sink(ends.to_netns, ends.to_address, flow);
    if (!receiver) return pass(std::move(receiver));
    receivers.push_back(std::move(*receiver));
  }
  Result<Fd> sender = connect_udp(ends.from_netns, ends.to_address);
  if (!sender) return pass(std::move(sender));
  return OneWay(ends, std::move(*sender), std::move(receivers));
}

Result<Tally> OneWay::trial(const Load& load) {
  Result<void> pinned = pin_to_cpu(ends_.sender_cpu);
  if (!pinned) return pass(std::move(pinned));
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // wake at the tick, not up to 50 us later

  std::vector<sockaddr_in> flows;
  for (unsigned flow = 0; flow < ends_.flows; ++flow) {
    Result<sockaddr_in> address = parse_address(ends_.to_address, flow);
    if (!address) return pass(std::move(address));
    flows.push_back(*address);
  }
  Result<std::uint64_t> drops_before = socket_drops(receivers_);
  if (!drops_before) return pass(std::move(drops_before));
  const std::uint32_t trial = ++trials_;
  Sink sink(receivers_, trial, ends_.receiver_cpu);

  const auto start = SteadyClock::now();
  Result<std::uint64_t> sent =
      send_load(sender_, flows, ends_.frame_bytes - kOverheadBytes, trial, load, start);
  const nanoseconds duration = SteadyClock::now() - start;
  if (!sent) return pass(std::move(sent));
  Result<void> drained = drain(sink, *sent);
  if (!drained) return pass(std::move(drained));

  Result<std::uint64_t> reordered = sink.stop_and_count_reordered();
  if (!reordered) return pass(std::move(reordered));
  Result<std::uint64_t> drops_after = socket_drops(receivers_);
  if (!drops_after) return pass(std::move(drops_after));
  if (*drops_after != *drops_before) {
    return fail("keep every frame that arrived",
                "the sink's buffer overflowed; use shorter trials or raise net.ipv4.udp_mem",
                ENOBUFS);
  }
  return Tally{
      .sent = *sent, .received = sink.received(), .reordered = *reordered, .duration = duration};
}

}  // namespace vethd::bench

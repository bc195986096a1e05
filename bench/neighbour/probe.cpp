#include "bench/neighbour/probe.hpp"

#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/path/one_way.hpp"

namespace vethd::bench {
namespace {

using std::chrono::nanoseconds;
using SteadyClock = std::chrono::steady_clock;  // CLOCK_MONOTONIC
using namespace std::chrono_literals;

constexpr std::size_t kPayloadBytes = kMinFrameBytes - kOverheadBytes;
constexpr unsigned kBatchFrames = 64;  // per recvmmsg
// What a sender that was held up may catch up on at once. The rest is not sent and shows as a lower
// rate: a burst that fills the pair's own queue would be loss of its own making.
constexpr int kMaxLate = 128;                    // frames
constexpr nanoseconds kLost = 1s;                // what arrives later than this does not count
constexpr nanoseconds kDrainLook = 1ms;          // between looks at the receiver
constexpr std::uint64_t kMaxFrames = 4'000'000;  // of a stream; 32 MB of latencies

/// What travels in each frame; the rest of the payload is zero.
struct Stamp {
  std::uint64_t sequence;
  SteadyClock::time_point sent;
};
static_assert(sizeof(Stamp) <= kPayloadBytes);

/// Receives on its own thread until it is stopped.
class Receiver {
 public:
  /// start: frames sent before it belong to an earlier stream.
  Receiver(const Fd& socket, SteadyClock::time_point start, std::size_t frames)
      : socket_(socket), start_(start) {
    latencies_.reserve(frames);
    for (unsigned i = 0; i < kBatchFrames; ++i) {
      parts_[i] = {.iov_base = payloads_[i].data(), .iov_len = kPayloadBytes};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
    thread_ = std::jthread([this](const std::stop_token& stop) { result_ = run(stop); });
  }

  [[nodiscard]] std::uint64_t received() const { return received_.load(std::memory_order_relaxed); }

  /// Ends the thread; what it kept is final afterwards.
  Result<void> stop() {
    thread_.request_stop();
    thread_.join();
    return result_;
  }

  /// After stop().
  std::vector<nanoseconds>& latencies() { return latencies_; }
  [[nodiscard]] std::uint64_t reordered() const { return reordered_; }

 private:
  Result<void> run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const int count =
          ::recvmmsg(socket_.get(), messages_.data(), kBatchFrames, MSG_WAITFORONE, nullptr);
      if (count < 0 && errno != EAGAIN) return fail("receive the stream");
      const auto now = SteadyClock::now();
      for (int i = 0; i < count; ++i) keep(payloads_[static_cast<unsigned>(i)], now);
      received_.store(latencies_.size(), std::memory_order_relaxed);
    }
    return {};
  }

  void keep(const std::array<std::byte, kPayloadBytes>& payload, SteadyClock::time_point now) {
    Stamp stamp;
    std::memcpy(&stamp, payload.data(), sizeof stamp);
    if (stamp.sent < start_ || now - stamp.sent > kLost) return;
    if (stamp.sequence < expected_) ++reordered_;
    expected_ = std::max(expected_, stamp.sequence + 1);
    latencies_.push_back(now - stamp.sent);
  }

  const Fd& socket_;
  SteadyClock::time_point start_;
  std::array<std::array<std::byte, kPayloadBytes>, kBatchFrames> payloads_{};
  std::array<iovec, kBatchFrames> parts_{};
  std::array<mmsghdr, kBatchFrames> messages_{};
  std::vector<nanoseconds> latencies_;
  std::uint64_t expected_ = 0;  // one above the highest sequence seen
  std::uint64_t reordered_ = 0;
  std::atomic<std::uint64_t> received_ = 0;
  Result<void> result_;
  std::jthread thread_;  // last: it uses what stands above
};

/// Frame n leaves at start + n intervals, or as soon after it as this thread is let run.
Result<std::uint64_t> send_stream(const Fd& socket, const Stream& stream,
                                  SteadyClock::time_point start) {
  const nanoseconds interval{static_cast<std::int64_t>(std::nano::den / stream.fps)};
  std::array<std::byte, kPayloadBytes> payload{};
  std::uint64_t sent = 0;
  for (auto due = start; due - start < stream.duration; due += interval) {
    auto now = SteadyClock::now();
    if (now < due) {
      std::this_thread::sleep_until(due);
      now = SteadyClock::now();
    }
    due = std::max(due, now - kMaxLate * interval);
    const Stamp stamp{.sequence = sent, .sent = now};
    std::memcpy(payload.data(), &stamp, sizeof stamp);
    if (::send(socket.get(), payload.data(), payload.size(), 0) < 0) {
      return fail("send the stream", "is the device up, the neighbour known?");
    }
    ++sent;
  }
  return sent;
}

void drain(const Receiver& receiver, std::uint64_t sent) {
  const auto last = SteadyClock::now() + kLost;
  while (receiver.received() < sent && SteadyClock::now() < last) {
    std::this_thread::sleep_for(kDrainLook);
  }
}

nanoseconds percentile(std::vector<nanoseconds>& latencies, double share) {
  if (latencies.empty()) return nanoseconds{0};
  const auto rank = static_cast<std::ptrdiff_t>(static_cast<double>(latencies.size() - 1) * share);
  std::ranges::nth_element(latencies, latencies.begin() + rank);
  return latencies[static_cast<std::size_t>(rank)];
}

}  // namespace

Result<Probed> probe(const Stream& stream) {
  const double frames = stream.fps * std::chrono::duration<double>(stream.duration).count();
  if (frames > static_cast<double>(kMaxFrames)) {
    return fail("play the stream", "use a lower rate or a shorter time", 0);
  }
  Result<Fd> sink = bind_sink(stream.to_netns, stream.to_address);
  if (!sink) return pass(std::move(sink));
  Result<Fd> sender = connect_udp(stream.from_netns, stream.to_address);
  if (!sender) return pass(std::move(sender));
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // wake when a frame is due, not up to 50 us later

  const auto start = SteadyClock::now();
  Receiver receiver(*sink, start, static_cast<std::size_t>(frames) + 1);
  Result<std::uint64_t> sent = send_stream(*sender, stream, start);
  if (!sent) return pass(std::move(sent));
  const std::chrono::duration<double> took = SteadyClock::now() - start;
  drain(receiver, *sent);
  Result<void> stopped = receiver.stop();
  if (!stopped) return pass(std::move(stopped));
  Result<std::uint64_t> drops = socket_drops({&*sink, 1});
  if (!drops) return pass(std::move(drops));
  if (*drops != 0) {
    return fail("keep every frame that arrived", "raise net.ipv4.udp_mem", ENOBUFS);
  }

  std::vector<nanoseconds>& latencies = receiver.latencies();
  return Probed{.sent = *sent,
                .received = latencies.size(),
                .reordered = receiver.reordered(),
                .sent_fps = static_cast<double>(*sent) / took.count(),
                .p50 = percentile(latencies, 0.50),
                .p99 = percentile(latencies, 0.99),
                .p999 = percentile(latencies, 0.999),
                .max = percentile(latencies, 1)};
}

}  // namespace vethd::bench

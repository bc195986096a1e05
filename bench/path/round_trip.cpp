#include "bench/path/round_trip.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/path/usage.hpp"

namespace vethd::bench {
namespace {

using std::chrono::nanoseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr int kWarmUp = 1000;                   // round trips not counted
constexpr std::size_t kMaxSamples = 4'000'000;  // 32 MB, reserved before the first
constexpr std::uint64_t kMaxLost = 100;         // more than this is not a path worth timing
constexpr timeval kTimeout{0, 200000};  // an answer later than this is lost; also the stop look

using Payload = std::array<std::byte, kMaxFrameBytes - kOverheadBytes>;

/// Sends back whatever arrives.
void echo(const std::stop_token& stop, const Fd& socket, int cpu, Result<void>& result) {
  result = pin_to_cpu(cpu);
  if (!result) return;
  Payload payload;
  while (!stop.stop_requested()) {
    sockaddr_in from{};
    socklen_t from_size = sizeof from;
    const ssize_t length = ::recvfrom(socket.get(), payload.data(), payload.size(), 0,
                                      reinterpret_cast<sockaddr*>(&from), &from_size);
    if (length < 0 && errno == EAGAIN) continue;
    if (length < 0 || ::sendto(socket.get(), payload.data(), static_cast<std::size_t>(length), 0,
                               reinterpret_cast<sockaddr*>(&from), from_size) != length) {
      result = fail("echo test frames");
      return;
    }
  }
}

/// One exchange; true when its answer came. Late answers to earlier questions are passed over.
Result<bool> exchange(const Fd& socket, Payload& payload, std::size_t bytes, std::uint64_t number) {
  std::memcpy(payload.data(), &number, sizeof number);
  if (::send(socket.get(), payload.data(), bytes, 0) < 0) return fail("send a test frame");
  std::uint64_t answered = 0;
  do {
    if (::recv(socket.get(), payload.data(), payload.size(), 0) < 0) {
      if (errno == EAGAIN) return false;
      return fail("receive an answer");
    }
    std::memcpy(&answered, payload.data(), sizeof answered);
  } while (answered != number);  // bounded: at most kMaxLost answers can be late
  return true;
}

Result<RoundTrips> play(const Fd& client, std::size_t bytes, nanoseconds duration) {
  Payload payload{};
  RoundTrips trips;
  std::vector<nanoseconds> samples;
  samples.reserve(kMaxSamples);
  std::uint64_t number = 0;

  const auto begin = SteadyClock::now();
  auto sent = begin;
  auto end = begin + duration;
  while (sent < end && samples.size() < kMaxSamples) {
    Result<bool> answered = exchange(client, payload, bytes, ++number);
    if (!answered) return pass(std::move(answered));
    const auto received = SteadyClock::now();
    if (number == kWarmUp) end = received + duration;
    if (!*answered && ++trips.lost > kMaxLost) {
      return fail("play ping-pong", "answers stay away; does the path forward both ways?", 0);
    }
    if (*answered && number > kWarmUp) samples.push_back(received - sent);
    sent = received;
  }
  if (samples.empty()) return fail("play ping-pong", "no round trip after the warm-up", 0);

  const auto percentile = [&](double share) {
    const auto rank = static_cast<std::ptrdiff_t>(static_cast<double>(samples.size() - 1) * share);
    std::ranges::nth_element(samples, samples.begin() + rank);
    return samples[static_cast<std::size_t>(rank)];
  };
  trips.count = samples.size();
  trips.p50 = percentile(0.50);
  trips.p99 = percentile(0.99);
  trips.p999 = percentile(0.999);
  return trips;
}

}  // namespace

Result<RoundTrips> measure_round_trips(const Ends& ends, nanoseconds duration) {
  Result<Fd> server = bind_udp(ends.to_netns, ends.to_address);
  if (!server) return pass(std::move(server));
  Result<Fd> client = connect_udp(ends.from_netns, ends.to_address);
  if (!client) return pass(std::move(client));
  for (const Fd* socket : {&*server, &*client}) {
    ::setsockopt(socket->get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  }
  Result<void> pinned = pin_to_cpu(ends.sender_cpu);
  if (!pinned) return pass(std::move(pinned));

  Result<void> echoed;
  std::jthread server_thread(
      [&](const std::stop_token& stop) { echo(stop, *server, ends.receiver_cpu, echoed); });
  Result<RoundTrips> trips = play(*client, ends.frame_bytes - kOverheadBytes, duration);
  server_thread.request_stop();
  server_thread.join();
  if (trips && !echoed) return pass(std::move(echoed));
  return trips;
}

}  // namespace vethd::bench

#include "tests/parity/bed.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "tests/parity/undisturbed.hpp"
#include "tests/system/lib/process.hpp"
#include "tests/system/lib/wait.hpp"

namespace vethd::parity {

namespace json = boost::json;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr milliseconds kSoon = 5s;
constexpr const char* kPair = "parity";

void must(const testing::AssertionResult& result) {
  if (!result) throw std::runtime_error(result.message());
}

std::string softnet(const std::string& kernel, bool burst) {
  return "[softnet]\nkernel = \"" + kernel + "\"\narrival = \"" + (burst ? "burst" : "inline") +
         "\"\n";
}

system_test::Topology topology(const Setup& setup, const Subject& subject) {
  const auto end = [&](const EndSetup& from, const char* netns, const char* ifname, const char* mac,
                       const char* address) {
    system_test::End to{.netns = netns, .ifname = ifname, .mtu = from.mtu, .mac = mac};
    to.gro = from.gro;
    to.tso = from.tso;
    to.rx_udp_gro_forwarding = from.rx_udp_gro_forwarding;
    if (setup.addresses) to.addresses = {std::string(address) + "/24"};
    return to;
  };
  // Frames that meet in one poll arrive in a burst; all others one at a time, as a local sender's.
  const bool burst = setup.a.gro || setup.b.gro;
  return {.pairs = {{.name = kPair,
                     .a = end(setup.a, "red", "parity0", kMacA, kIpA),
                     .b = end(setup.b, "blue", "parity1", kMacB, kIpB),
                     .coalesce = subject.coalesce ? "always" : ""}},
          .softnet = softnet(subject.kernel.value_or(""), burst),
          .workers = 1};
}

/// Behind the daemon's configuration of the ends.
std::string programs(const Setup& setup) {
  std::string toml;
  for (const auto& [name, end] : {std::pair{"a", &setup.a}, std::pair{"b", &setup.b}})
    if (!end->xdp.empty())
      toml += std::string("[pair.") + name + ".xdp]\nobject = \"" + XDP_TEST_OBJECT +
              "\"\nprogram = \"" + end->xdp + "\"\n";
  return toml;
}

Fd packet_sender(const std::string& ifname, bool vnet) {
  Fd socket{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};  // protocol 0: receives nothing
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_ifindex = static_cast<int>(::if_nametoindex(ifname.c_str()));
  const int on = vnet ? 1 : 0;
  const bool ready =
      socket.is_open() && where.sll_ifindex != 0 &&
      ::setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) == 0 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0;
  if (!ready) throw std::system_error(errno, std::generic_category(), "sender on " + ifname);
  return socket;
}

std::map<std::string, std::int64_t> numbers(const json::object& object) {
  std::map<std::string, std::int64_t> found;
  for (const auto& [key, value] : object) found[key] = value.to_number<std::int64_t>();
  return found;
}

/// "     rx_queue_0_xdp_packets: 12" of ethtool -S
void add_ethtool(std::map<std::string, std::int64_t>& into, const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    const std::size_t start = line.find_first_not_of(' ');
    if (colon == line.npos || start == 0) continue;
    into["ethtool " + line.substr(start, colon - start)] = std::stoll(line.substr(colon + 2));
  }
}

/// Threads of the kernel that poll this device.
std::vector<pid_t> napi_threads(const std::string& ifname) {
  std::vector<pid_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    std::string name;
    std::ifstream(entry.path() / "comm") >> name;
    if (name.starts_with("napi/" + ifname + "-"))
      found.push_back(std::stoi(entry.path().filename()));
  }
  return found;
}

std::string hex(std::uint64_t value, int digits, const char* prefix = "") {
  std::ostringstream text;
  text << prefix << std::hex << std::setw(digits) << std::setfill('0') << value;
  return text.str();
}

/// "1 2 3"
void append(std::string& list, const std::string& word, const char* between = " ") {
  if (!list.empty()) list += between;
  list += word;
}

class Fnv1a {
 public:
  void add(const void* data, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) {
      value_ ^= static_cast<const std::uint8_t*>(data)[i];
      value_ *= 0x100000001b3;
    }
  }
  void add(std::uint64_t value) { add(&value, sizeof value); }
  [[nodiscard]] std::string text() const { return hex(value_, 16); }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

const char* gso_name(std::uint8_t type) {
  switch (type & ~kGsoEcn) {
    case kGsoTcp4:
      return "tcp4";
    case kGsoTcp6:
      return "tcp6";
    case kGsoUdp:
      return "udp";
    default:
      return "?";
  }
}

std::string checksum_mark(const Captured& frame) {
  const bool not_ready = (frame.status & TP_STATUS_CSUMNOTREADY) != 0;
  if ((frame.vnet.flags & kNeedsCsum) == 0) return not_ready ? "not-ready" : "none";
  return "partial:" + std::to_string(frame.vnet.csum_start) + "+" +
         std::to_string(frame.vnet.csum_offset) + (not_ready ? "" : ",ready");
}

/// The stack draws IPv4 ids from a counter that starts at random.
Frame without_id(Frame frame) {
  constexpr std::size_t kId = ETH_HLEN + 4;
  constexpr std::size_t kHeaderChecksum = ETH_HLEN + 10;
  for (const std::size_t at : {kId, kId + 1, kHeaderChecksum, kHeaderChecksum + 1})
    if (at < frame.size()) frame[at] = 0;
  return frame;
}

std::string pkttype_name(std::uint8_t type) {
  switch (type) {
    case PACKET_HOST:
      return "host";
    case PACKET_BROADCAST:
      return "broadcast";
    case PACKET_MULTICAST:
      return "multicast";
    case PACKET_OTHERHOST:
      return "otherhost";
    default:
      return std::to_string(type);
  }
}

/// A row of /proc/net/snmp by its column's name: "Udp: InDatagrams ...", "Udp: 12 ...".
std::int64_t snmp(const std::string& protocol, const std::string& column) {
  std::ifstream file("/proc/thread-self/net/snmp");
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(protocol + ": ")) continue;
    const std::vector<std::string> fields = system_test::words(line);
    if (names.empty()) {
      names = fields;
      continue;
    }
    const auto at = std::ranges::find(names, column);
    if (at != names.end()) return std::stoll(fields[static_cast<std::size_t>(at - names.begin())]);
  }
  throw std::runtime_error("no " + protocol + " " + column + " in snmp");
}

}  // namespace

Bed::Bed(const Setup& setup, const Subject& subject) : coalesce_(subject.coalesce) {
  for (const char* name : {"red", "blue", "green"}) {
    namespaces_.emplace_back(name);
    // No multicast reports or router solicitations among the frames that are counted.
    system_test::set_sysctl(name, "net.ipv6.conf.all.disable_ipv6", "1");
    system_test::set_sysctl(name, "net.ipv6.conf.default.disable_ipv6", "1");
  }
  const system_test::Topology wanted = topology(setup, subject);
  if (subject.kernel) {
    daemon_ = std::make_unique<system_test::Daemon>(system_test::to_toml(wanted) + programs(setup));
  } else {
    system_test::make_kernel_veth(wanted);
    if (!setup.a.xdp.empty()) attach_xdp(Side::a, setup.a.xdp);
    if (!setup.b.xdp.empty()) attach_xdp(Side::b, setup.b.xdp);
  }
  if (setup.addresses) {
    ip(std::string("-n red neigh replace ") + kIpB + " lladdr " + kMacB +
       " dev parity0 nud permanent");
    ip(std::string("-n blue neigh replace ") + kIpA + " lladdr " + kMacA +
       " dev parity1 nud permanent");
  }
  for (const Side side : {Side::a, Side::b}) {
    attach(end(side));
    end(side).before = counters(side);
  }
}

Bed::~Bed() = default;

void Bed::attach(End& end) {
  end.sniffer.emplace(end.netns, end.ifname);
  system_test::inside(end.netns, [&] {
    end.plain = packet_sender(end.ifname, false);
    end.with_vnet = packet_sender(end.ifname, true);
  });
}

/// Where frames that leave in a row become one, what meets must not be left to chance: the segments
/// of one input, and nothing else.
void Bed::send(Side from, const Input& input) {
  if (!coalesce_) return put(from, input);
  while_stopped([&] { put(from, input); });
  settle();
}

void Bed::put(Side from, const Input& input) {
  put(input.vnet ? end(from).with_vnet : end(from).plain, input);
}

void Bed::put(const Fd& socket, const Input& input) {
  inputs_.push_back(input);
  Input& sent = inputs_.back();
  VnetHeader header = sent.vnet.value_or(VnetHeader{});
  const std::array<iovec, 2> data{{{.iov_base = &header, .iov_len = sizeof header},
                                   {.iov_base = sent.bytes.data(), .iov_len = sent.bytes.size()}}};
  const bool ok = sent.vnet ? ::writev(socket.get(), data.data(), data.size()) >= 0
                            : ::writev(socket.get(), data.data() + 1, 1) >= 0;
  sent_.emplace_back(ok ? "ok" : ::strerrorname_np(errno));
}

void Bed::send_bridged(const std::vector<Input>& inputs) {
  const End& a = end(Side::a);
  for (const std::string& command :
       {std::string("link add bridged0 mtu 9100 type veth peer name port0 mtu 9100"),
        std::string("link add bridge0 type bridge forward_delay 0 mcast_snooping 0"),
        std::string("link set port0 master bridge0"), "link set " + a.ifname + " master bridge0",
        std::string("link set bridge0 up"), std::string("link set port0 up"),
        std::string("link set bridged0 up")})
    host("ip -n " + a.netns + " " + command);
  const auto forwards = [&](const std::string& port) {
    return ip("-n " + a.netns + " -d link show " + port).find("state forwarding") !=
           std::string::npos;
  };
  must(wait_until([&] { return forwards("port0") && forwards(a.ifname); }, kSoon,
                  "a bridge that forwards"));
  bridged_ = system_test::inside(a.netns, [] { return packet_sender("bridged0", false); });
  for (const Input& input : inputs) {
    put(bridged_, input);
    settle();
  }
}

/// veth: b is polled by a thread, which cannot run while a real-time thread, ours, keeps its CPU.
/// vethd: what is sent while the daemon is stopped waits in the TAP and is read at once.
void Bed::while_stopped(const std::function<void()>& send_all) {
  settle();
  daemon_->while_stopped(send_all);
}

void Bed::send_together(const std::vector<Input>& inputs) {
  const auto send_all = [&] {
    for (const Input& input : inputs) put(Side::a, input);
  };
  if (on_vethd()) return while_stopped(send_all);
  settle();
  if (!threaded_) {
    const End& b = end(Side::b);
    const std::string command = "echo 1 > /sys/class/net/" + b.ifname + "/threaded";
    must(wait_until(
        [&] { return run({"ip", "netns", "exec", b.netns, "sh", "-c", command}).exit_code == 0; },
        0ms, "threaded polling"));
    threaded_ = true;
  }
  const Undisturbed turn(napi_threads(end(Side::b).ifname));
  send_all();
}

void Bed::host(const std::string& command) {
  settle();
  const system_test::Finished done = run(system_test::words(command));
  if (done.exit_code != 0) throw std::runtime_error(command + ": " + done.err);
}

void Bed::attach_xdp(Side side, const std::string& program) {
  const End& to = end(side);
  host("ip -n " + to.netns + " link set " + to.ifname + " xdpdrv obj " + XDP_TEST_OBJECT +
       " program " + program);
  await_segmentation(side == Side::a ? Side::b : Side::a, false);
}

void Bed::detach_xdp(Side side) {
  host("ip -n " + end(side).netns + " link set " + end(side).ifname + " xdpdrv off");
  await_segmentation(side == Side::a ? Side::b : Side::a, true);
}

void Bed::await_segmentation(Side side, bool wanted) {
  if (!on_vethd()) return;
  const auto follows = [&] {
    const json::object pair = system_test::pair_in(system_test::show(), kPair);
    return pair.at(side == Side::a ? "a" : "b").at("features").at("tso") == wanted;
  };
  must(wait_until(follows, kSoon, "segmentation to follow the program"));
}

void Bed::move(Side side, const std::string& netns) {
  End& moved = end(side);
  host("ip -n " + moved.netns + " link set " + moved.ifname + " netns " + netns);
  moved.netns = netns;
}

void Bed::await_link(Side side, const std::string& expected) {
  must(wait_until([&] { return link(side) == expected; }, kSoon, expected));
}

void Bed::leave(Side side) {
  settle();
  end(side).sniffer.reset();
  end(side).plain = Fd{};
  end(side).with_vnet = Fd{};
}

void Bed::listen() {
  listener_ = system_test::inside(end(Side::b).netns, [] {
    Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(kPort);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
      throw std::system_error(errno, std::generic_category(), "bind a UDP socket");
    return socket;
  });
}

void Bed::datagram(std::size_t bytes, std::uint16_t segment_bytes) {
  const Fd socket = system_test::inside(
      end(Side::a).netns, [] { return Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}; });
  sockaddr_in from{};  // a port of our choice: it is part of the frames that are compared
  from.sin_family = AF_INET;
  from.sin_port = htons(kPort);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  const int segment = segment_bytes;
  const Frame payload = ethernet({.bytes = bytes}).bytes;
  const bool ok =
      ::inet_pton(AF_INET, kIpB, &to.sin_addr) == 1 &&
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0 &&
      (segment == 0 ||
       ::setsockopt(socket.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0) &&
      ::sendto(socket.get(), payload.data(), payload.size(), 0,
               reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0;
  sent_.emplace_back(ok ? "ok" : ::strerrorname_np(errno));
  from_stack_ = true;
}

/// Every frame the senders' devices were given is in the ledger or lost in the TAP's own ring, and
/// none is in flight. A kernel veth is synchronous but for b's thread, for which observers wait.
void Bed::settle() {
  if (!on_vethd()) return;
  constexpr std::array kDirections = {"a_to_b", "b_to_a"};
  const auto at_rest = [&] {
    const json::object pair = system_test::pair_in(system_test::stats(), kPair);
    if (pair.empty()) return true;
    for (const Side side : {Side::a, Side::b}) {
      if (!end(side).sniffer) continue;
      end(side).sniffer->read();
      const json::object& way = pair.at(kDirections[static_cast<std::size_t>(side)]).as_object();
      const std::uint64_t seen =
          system_test::number(way, "rx_frames") + system_test::number(way, "tap_ring_dropped");
      const bool quiet = way.at("balanced").as_bool() && system_test::number(way, "in_flight") == 0;
      if (seen < end(side).sniffer->sent() || !quiet) return false;
    }
    return true;
  };
  must(wait_until(at_rest, kSoon, "every frame accounted for"));
}

/// What `ip -s link` and `ethtool -S` say on veth; vethd keeps the same for its ends.
std::map<std::string, std::int64_t> Bed::counters(Side side) {
  const End& of = end(side);
  std::map<std::string, std::int64_t> found;
  if (on_vethd()) {
    const system_test::Finished done = system_test::run_vethctl({"-j", "show", "-s"});
    if (done.exit_code != 0) return found;
    const json::object pair = system_test::pair_in(json::parse(done.out).as_object(), kPair);
    if (pair.empty()) return found;
    const json::object& ours = pair.at(side == Side::a ? "a" : "b").as_object();
    if (const json::value* stats = ours.if_contains("stats")) found = numbers(stats->as_object());
    if (const json::value* ethtool = ours.if_contains("ethtool")) {
      for (const auto& [key, value] : numbers(ethtool->as_object()))
        found["ethtool " + key] = value;
    }
    return found;
  }
  const system_test::Finished done =
      run(system_test::words("ip -n " + of.netns + " -j -s link show dev " + of.ifname));
  if (done.exit_code != 0) return found;
  const json::object stats = json::parse(done.out).at(0).at("stats64").as_object();
  for (const char* way : {"rx", "tx"}) {
    for (const char* what : {"packets", "bytes", "errors", "dropped"})
      found[std::string(way) + "_" + what] = stats.at(way).at(what).to_number<std::int64_t>();
  }
  add_ethtool(found, run({"ethtool", "-S", of.ifname}, {.netns = of.netns}).out);
  return found;
}

std::string Bed::link(Side side) {
  const system_test::Link seen = system_test::link_of(end(side).netns, end(side).ifname);
  if (!seen.exists) return "gone";
  return std::string(seen.up ? "up" : "down") + (seen.carrier ? " carrier " : " no-carrier ") +
         seen.operstate + " mtu " + std::to_string(seen.mtu);
}

/// "3": input 3, byte for byte. "1+2": their payloads in one frame, with a super-frame's type and
/// segment size behind it. "1@500/200": 200 bytes of input 1's payload from byte 500.
std::string Bed::describe(const Captured& frame) const {
  std::string text;
  const auto same = std::ranges::find(inputs_, frame.bytes, &Input::bytes);
  if (same != inputs_.end()) text = std::to_string(same - inputs_.begin() + 1);
  const Frame payload = payload_of(frame.bytes);
  if (text.empty()) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Frame part = payload_of(inputs_[i].bytes);
      const bool next =
          !part.empty() && part.size() <= payload.size() - at &&
          std::equal(part.begin(), part.end(), payload.begin() + static_cast<std::ptrdiff_t>(at));
      if (!next) continue;
      at += part.size();
      append(text, std::to_string(i + 1), "+");
    }
    if (at != payload.size()) text.clear();
  }
  for (std::size_t i = 0; i < inputs_.size() && text.empty() && !payload.empty(); ++i) {
    const Frame whole = payload_of(inputs_[i].bytes);
    const auto found = std::ranges::search(whole, payload);
    if (!found.empty())
      text = std::to_string(i + 1) + "@" + std::to_string(found.begin() - whole.begin()) + "/" +
             std::to_string(payload.size());
  }
  if (text.empty()) text = "?/" + std::to_string(frame.bytes.size());
  if (frame.vnet.gso_type == kGsoNone) return text;
  const bool ecn = (frame.vnet.gso_type & kGsoEcn) != 0;
  return text + ":" + gso_name(frame.vnet.gso_type) + (ecn ? "+ecn/" : "/") +
         std::to_string(frame.vnet.gso_size);
}

std::string Bed::each(Side side, const std::function<std::string(const Captured&)>& show) {
  std::string text;
  end(side).sniffer->read();
  for (const Captured& frame : end(side).sniffer->received()) append(text, show(frame));
  return text;
}

std::string Bed::datagrams() {
  Frame datagram(65536);
  for (;;) {  // ends when the socket is empty
    const ssize_t n = ::recv(listener_.get(), datagram.data(), datagram.size(), 0);
    if (n < 0) break;
    datagrams_.emplace_back(datagram.begin(), datagram.begin() + n);
  }
  std::string text;
  for (const Frame& each : datagrams_) append(text, std::to_string(each.size()));
  return text;
}

std::string Bed::observe(const std::string& name) {
  if (name == "sent") {
    std::string text;
    for (const std::string& answer : sent_) append(text, answer);
    return text;
  }
  const Side side = name.starts_with("a ") ? Side::a : Side::b;
  const std::string what = name.substr(2);
  if (what == "got") return each(side, [&](const Captured& frame) { return describe(frame); });
  if (what == "checksum") return each(side, checksum_mark);
  if (what == "pkttype") {
    return each(side, [](const Captured& frame) { return pkttype_name(frame.pkttype); });
  }
  if (what == "protocol") {
    return each(side, [](const Captured& frame) { return hex(frame.protocol, 4, "0x"); });
  }
  if (what == "lengths") {
    return each(side, [](const Captured& frame) { return std::to_string(frame.bytes.size()); });
  }
  if (what == "link") return link(side);
  if (what == "peer_ifindex") {
    const Side other = side == Side::a ? Side::b : Side::a;
    const auto now = counters(side);
    const auto found = now.find("ethtool peer_ifindex");
    const unsigned right = system_test::link_of(end(other).netns, end(other).ifname).ifindex;
    if (found == now.end()) return "n/a";
    return found->second == right ? "the peer's" : std::to_string(found->second);
  }
  if (what == "udp") return datagrams();
  if (what.starts_with("snmp ")) {
    return std::to_string(
        system_test::inside(end(side).netns, [&] { return snmp("Udp", what.substr(5)); }));
  }
  const auto now = counters(side);
  const auto found = now.find(what);
  if (found == now.end()) return "n/a";
  return std::to_string(found->second - end(side).before[what]);
}

std::string Bed::digest() {
  Fnv1a sum;
  for (const Side side : {Side::a, Side::b}) {
    if (!end(side).sniffer) continue;
    end(side).sniffer->read();
    for (const Captured& frame : end(side).sniffer->received()) {
      const Frame bytes = from_stack_ ? without_id(frame.bytes) : frame.bytes;
      sum.add(bytes.size());
      sum.add(bytes.data(), bytes.size());
      sum.add(frame.pkttype);
      sum.add(frame.protocol);
      sum.add(frame.vnet.gso_type);
      sum.add(frame.vnet.gso_size);
      const std::string checksum = checksum_mark(frame);
      sum.add(checksum.data(), checksum.size());
    }
  }
  for (const Frame& each : datagrams_) sum.add(each.data(), each.size());
  return sum.text();
}

void Bed::finish() {
  if (!on_vethd()) return;
  if (system_test::pair_in(system_test::show(), kPair).empty()) daemon_->allow_log(kPair);
  EXPECT_TRUE(wait_until(system_test::ledgers_at_rest, kSoon, "every ledger balanced"));
  EXPECT_TRUE(daemon_->stop());
  EXPECT_EQ(daemon_->unexpected_log(), "");
}

Step send(Side from, std::vector<Input> inputs) {
  return [from, inputs = std::move(inputs)](Bed& bed) {
    for (const Input& input : inputs) bed.send(from, input);
  };
}

Step from_bridge(std::vector<Input> inputs) {
  return [inputs = std::move(inputs)](Bed& bed) { bed.send_bridged(inputs); };
}

Step together(std::vector<Input> inputs) {
  return [inputs = std::move(inputs)](Bed& bed) { bed.send_together(inputs); };
}

Step host(std::string command) {
  return [command = std::move(command)](Bed& bed) { bed.host(command); };
}

Step attach_xdp(Side end, std::string program) {
  return [end, program = std::move(program)](Bed& bed) { bed.attach_xdp(end, program); };
}

Step detach_xdp(Side end) {
  return [end](Bed& bed) { bed.detach_xdp(end); };
}

Step move(Side end, std::string netns) {
  return [end, netns = std::move(netns)](Bed& bed) { bed.move(end, netns); };
}

Step until(Side end, std::string link) {
  return [end, link = std::move(link)](Bed& bed) { bed.await_link(end, link); };
}

Step leave(Side end) {
  return [end](Bed& bed) { bed.leave(end); };
}

Step listen() {
  return [](Bed& bed) { bed.listen(); };
}

Step datagram(std::size_t bytes, std::uint16_t segment_bytes) {
  return [bytes, segment_bytes](Bed& bed) { bed.datagram(bytes, segment_bytes); };
}

}  // namespace vethd::parity

// What a case runs on: red/parity0 joined to blue/parity1 by a kernel veth or by the daemon.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/parity/case.hpp"
#include "tests/system/lib/daemon.hpp"
#include "tests/system/lib/netns.hpp"
#include "tests/system/lib/sniffer.hpp"
#include "tests/system/lib/topology.hpp"

namespace vethd::parity {

/// Whom a case is played on.
struct Subject {
  std::optional<std::string> kernel;  // the version vethd emulates; nothing: a real veth pair
  bool coalesce = false;              // with coalesce = "always"
};

/// Threads  the main thread only: it enters namespaces.
/// Errors   std::runtime_error and gtest failures when the bed itself breaks.
class Bed {
 public:
  /// A real veth pair, or vethd.
  Bed(const Setup& setup, const Subject& subject);
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;
  ~Bed();

  void send(Side from, const Input& input);
  void send_bridged(const std::vector<Input>& inputs);
  void send_together(const std::vector<Input>& inputs);
  void host(const std::string& command);
  void attach_xdp(Side end, const std::string& program);
  void detach_xdp(Side end);
  void move(Side end, const std::string& netns);
  void await_link(Side end, const std::string& expected);
  void leave(Side end);
  void listen();
  void datagram(std::size_t bytes, std::uint16_t segment_bytes);

  /// Everything sent so far has been delivered or dropped.
  void settle();

  /// One value by its name; see README.md for the names. "n/a": cannot be seen here.
  std::string observe(const std::string& name);
  /// A digest of every captured frame: bytes, order, type, checksum and segmentation marks.
  std::string digest();

  /// Fails the test when the daemon complained, does not balance or does not stop.
  void finish();

 private:
  struct End {
    std::string netns;
    std::string ifname;
    std::optional<Sniffer> sniffer;
    Fd plain;  // packet sockets that only send
    Fd with_vnet;
    std::map<std::string, std::int64_t> before;  // counters when the case began
  };

  End& end(Side side) { return ends_[static_cast<std::size_t>(side)]; }
  void put(Side from, const Input& input);
  void put(const Fd& socket, const Input& input);
  void while_stopped(const std::function<void()>& send_all);
  [[nodiscard]] bool on_vethd() const { return daemon_ != nullptr; }
  void attach(End& end);
  /// A veth has taken the other end's segmentation, or given it back, when the command returns.
  void await_segmentation(Side side, bool wanted);
  std::map<std::string, std::int64_t> counters(Side side);
  std::string describe(const Captured& frame) const;
  std::string each(Side side, const std::function<std::string(const Captured&)>& show);
  std::string link(Side side);
  std::string datagrams();

  bool coalesce_;
  std::list<system_test::Netns> namespaces_;
  std::unique_ptr<system_test::Daemon> daemon_;
  std::array<End, 2> ends_{End{.netns = "red",
                               .ifname = "parity0",
                               .sniffer = {},
                               .plain = {},
                               .with_vnet = {},
                               .before = {}},
                           End{.netns = "blue",
                               .ifname = "parity1",
                               .sniffer = {},
                               .plain = {},
                               .with_vnet = {},
                               .before = {}}};
  std::vector<Input> inputs_;      // numbered from 1 as they are sent
  std::vector<std::string> sent_;  // what each sender was told
  Fd listener_;
  Fd bridged_;  // sends into a by way of a bridge
  std::vector<Frame> datagrams_;
  bool from_stack_ = false;  // frames whose IPv4 id is not ours
  bool threaded_ = false;    // kernel veth: b polls in a thread of its own
};

}  // namespace vethd::parity

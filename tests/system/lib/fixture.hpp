// Every system test: a clean sandbox before, a clean sandbox after, and a quiet daemon between.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>

#include "tests/system/lib/daemon.hpp"
#include "tests/system/lib/netns.hpp"
#include "tests/system/lib/topology.hpp"

namespace vethd::system_test {

/// Tests of the daemon.
///
/// Teardown fails the test when the log holds a warning nobody listed, a ledger does not balance,
/// the daemon does not stop, or anything is left in the sandbox.
class System : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  void make_netns(const std::string& name) { namespaces_.emplace_back(name); }
  /// Removes them, with all that is in them; the daemon has ended.
  void forget_netns() { namespaces_.clear(); }
  /// Makes the namespaces the pairs name, once each, unless the daemon is asked to make them.
  void make_netns_for(const Topology& topology);
  void make_nics_for(const Topology& topology);

  /// Starts the daemon; topology's namespaces, and the devices of AF_XDP ends, are made first.
  void start(const Topology& topology);
  /// Starts the daemon with a configuration of the test's own.
  void start_with(const std::string& toml) { start_with(toml, {vethd_program()}); }
  void start_with(const std::string& toml, std::vector<std::string> program) {
    daemon_ = std::make_unique<Daemon>(toml, std::move(program));
  }

  /// How long the daemon may take to come to rest, and then to stop; before SetUp().
  void be_patient(milliseconds limit) { at_rest_ = stopped_ = limit; }

  Daemon& daemon() { return *daemon_; }
  /// The test stopped or killed the daemon itself.
  void daemon_is_gone() { daemon_.reset(); }

 private:
  std::list<Netns> namespaces_;
  std::unique_ptr<Daemon> daemon_;
  milliseconds at_rest_ = 2s;
  milliseconds stopped_ = 1s;
};

enum class Wire { kernel_veth, vethd, tap_xdp_copy, xdp_tap_copy, xdp_copy, xdp_generic };

/// Kernel veth, which proves the test; TAPs; and ends that are AF_XDP sockets on one side of a
/// kernel veth (lib/topology.hpp).
inline constexpr std::array kEveryWire = {Wire::kernel_veth,  Wire::vethd,    Wire::tap_xdp_copy,
                                          Wire::xdp_tap_copy, Wire::xdp_copy, Wire::xdp_generic};
inline constexpr auto kBothWires = std::span(kEveryWire).first<2>();
inline constexpr auto kDaemonsWires = std::span(kEveryWire).subspan<1>();

/// Tests of what happens on a wire.
class OnAWire : public System {
 protected:
  explicit OnAWire(Wire wire) : wire_(wire) {}

  void connect(const Topology& topology);
  [[nodiscard]] bool on_vethd() const { return wire_ != Wire::kernel_veth; }
  /// Which of the daemon's ends are AF_XDP sockets.
  [[nodiscard]] bool a_is_xdp() const { return on_xdp() && wire_ != Wire::tap_xdp_copy; }
  [[nodiscard]] bool b_is_xdp() const { return on_xdp() && wire_ != Wire::xdp_tap_copy; }
  [[nodiscard]] bool on_xdp() const { return on_vethd() && wire_ != Wire::vethd; }
  /// A transfer that takes no longer on one wire than on another.
  [[nodiscard]] std::uint64_t volume(std::uint64_t bytes) const;
  /// The same of rounds of datagrams.
  [[nodiscard]] std::uint32_t rounds(std::uint32_t count) const {
    return on_xdp() ? count / 4 : count;
  }
  /// Nothing was dropped in either direction; says nothing about kernel veth.
  void expect_no_drops(const std::string& pair);
  /// Frames of one direction that got lost where the daemon does not decide: in front of it, and
  /// in the kernel veths of its AF_XDP ends.
  std::uint64_t lost_outside(const Pair& pair, const std::string& direction);
  /// The devices of its AF_XDP ends; the daemon has ended.
  void expect_untouched(const Pair& pair);

 private:
  Wire wire_;
};

/// Where the wire is all that is drawn.
class OnWires : public OnAWire, public testing::WithParamInterface<Wire> {
 protected:
  OnWires() : OnAWire(GetParam()) {}
};

std::string name_of(Wire wire);

#define VETHD_ON_WIRES(wires, suite)                              \
  INSTANTIATE_TEST_SUITE_P(Wire, suite, testing::ValuesIn(wires), \
                           [](const auto& drawn) { return name_of(drawn.param); })

/// One ping answered; the failure is ping's own output.
testing::AssertionResult pings(const std::string& netns, const std::string& arguments);

}  // namespace vethd::system_test

// The daemon under test and its control client.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/system/lib/process.hpp"

namespace vethd::system_test {

inline constexpr const char* kControlSocket = "/run/vethd/vethd.sock";

/// The path of the daemon under test.
std::string vethd_program();
std::string vethctl_program();
/// The daemon in which VETHD_BREAK breaks a stage (daemon/pipeline/broken.hpp).
std::string vethd_breakable_program();

/// Writes a configuration file and returns its path.
std::string write_config(const std::string& toml);

/// vethd --config FILE EXTRA..., to its end.
Finished run_vethd(std::vector<std::string> arguments, const Process::Options& options = {});

/// vethctl -s SOCKET ARGUMENTS...
Finished run_vethctl(std::vector<std::string> arguments);

class Daemon {
 public:
  /// Returns when the daemon is ready; std::runtime_error with its own words when it is not.
  explicit Daemon(const std::string& toml) : Daemon(toml, {vethd_program()}) {}
  /// The same of another program: its path, with what stands before it.
  Daemon(const std::string& toml, std::vector<std::string> program);

  [[nodiscard]] Process& process() { return process_; }

  /// Runs act() while every thread of the daemon stands still. What is sent meanwhile waits in the
  /// TAP and is read at once, so that frames surely meet.
  void while_stopped(const std::function<void()>& act);

  /// A warning or error line that holds this text is part of the test.
  void allow_log(std::string text) { allowed_.push_back(std::move(text)); }
  /// Warning and error lines that nobody listed.
  [[nodiscard]] std::string unexpected_log() const;

  /// SIGTERM; true when it ended in time with exit code 0.
  testing::AssertionResult stop(milliseconds limit = 1s);

 private:
  Process process_;
  std::vector<std::string> allowed_;
};

/// What vethctl -j prints; std::runtime_error when it fails.
boost::json::object show();
boost::json::object stats();

/// The pair's object in show() or stats(), empty when it is not there.
boost::json::object pair_in(const boost::json::object& answer, const std::string& name);

/// A row of theirs in stats(), added up.
std::uint64_t of_all_workers(const boost::json::object& answer, const std::string& row);

/// One direction of one pair: "a_to_b" or "b_to_a".
boost::json::object ledger(const std::string& pair, const std::string& direction);
std::uint64_t number(const boost::json::object& object, const std::string& key);

/// The drop_* keys that are not zero: "drop_cpu_backlog=12 ..."; empty: nothing was dropped.
std::string drops_in(const boost::json::object& ledger);

/// True when every direction is balanced with nothing in flight.
bool ledgers_at_rest();

/// One emulated CPU of one machine.
boost::json::object softnet(const std::string& machine, unsigned cpu);

}  // namespace vethd::system_test

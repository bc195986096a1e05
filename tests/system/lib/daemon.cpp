#include "tests/system/lib/daemon.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace vethd::system_test {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::array kDirections = {"a_to_b", "b_to_a"};

bool says_ready(const std::string& out) {
  return out.starts_with("ready") || out.find("\nready") != std::string::npos;
}

/// spdlog's level in brackets, or a line of the C library, a sanitizer or panic().
bool is_complaint(std::string line) {
  constexpr std::array kWords = {"warn", "error", "critical", "broken invariant",
                                 "terminate called"};
  std::ranges::transform(line, line.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(kWords,
                             [&](const char* word) { return line.find(word) != line.npos; });
}

std::vector<std::string> command(std::vector<std::string> program, const std::string& config) {
  program.insert(program.end(), {"--config", config});
  return program;
}

bool all_threads_stopped(pid_t pid) {
  const fs::path tasks = "/proc/" + std::to_string(pid) + "/task";
  return std::ranges::all_of(fs::directory_iterator(tasks), [](const fs::directory_entry& task) {
    std::string line;
    std::getline(std::ifstream(task.path() / "stat"), line);
    return line.size() > line.rfind(')') + 2 && line[line.rfind(')') + 2] == 'T';
  });
}

json::object ask(const char* what) {
  const Finished done = run_vethctl({"-j", what});
  if (done.exit_code != 0)
    throw std::runtime_error("vethctl -j " + std::string(what) + ": " + done.err);
  return json::parse(done.out).as_object();
}

}  // namespace

std::string vethd_program() { return VETHD_PROGRAM; }
std::string vethctl_program() { return VETHCTL_PROGRAM; }
std::string vethd_breakable_program() { return VETHD_BREAKABLE_PROGRAM; }

std::string write_config(const std::string& toml) {
  const std::string path = "/run/pair.toml";
  std::ofstream(path) << toml;
  return path;
}

Finished run_vethd(std::vector<std::string> arguments, const Process::Options& options) {
  arguments.insert(arguments.begin(), vethd_program());
  return run(std::move(arguments), options);
}

Finished run_vethctl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {VETHCTL_PROGRAM, "-s", kControlSocket});
  return run(std::move(arguments));
}

Daemon::Daemon(const std::string& toml, std::vector<std::string> program)
    : process_(command(std::move(program), write_config(toml))) {
  constexpr milliseconds kStart = 30s;
  const auto settled = [&] {
    return says_ready(process_.out()) || process_.wait_exit(0ms).has_value();
  };
  const auto in_time = wait_until(settled, kStart, "a line that starts with ready");
  if (!in_time || process_.wait_exit(0ms)) {
    const std::optional<int> code = process_.wait_exit(0ms);
    const std::string how = code ? "ended with exit code " + std::to_string(*code) : "is not ready";
    throw std::runtime_error("vethd " + how + ": " + process_.out() + process_.err());
  }
}

void Daemon::while_stopped(const std::function<void()>& act) {
  struct Continue {
    const Process& process;
    ~Continue() { process.signal(SIGCONT); }
  } const on_exit{process_};
  process_.signal(SIGSTOP);
  const auto stopped = [this] { return all_threads_stopped(process_.pid()); };
  if (!wait_until(stopped, 5s, "a stopped daemon")) throw std::runtime_error("vethd does not stop");
  act();
}

std::string Daemon::unexpected_log() const {
  std::istringstream log(process_.err());
  std::string found;
  for (std::string line; std::getline(log, line);) {
    const auto listed = [&](const std::string& text) { return line.find(text) != line.npos; };
    if (is_complaint(line) && std::ranges::none_of(allowed_, listed)) found += line + '\n';
  }
  return found;
}

testing::AssertionResult Daemon::stop(milliseconds limit) {
  process_.signal(SIGTERM);
  const std::optional<int> code = process_.wait_exit(limit);
  if (!code)
    return testing::AssertionFailure() << "still running " << limit.count() << " ms after SIGTERM";
  if (*code != 0)
    return testing::AssertionFailure() << "exit code " << *code << ": " << process_.err();
  return testing::AssertionSuccess();
}

json::object show() { return ask("show"); }
json::object stats() { return ask("stats"); }

json::object pair_in(const json::object& answer, const std::string& name) {
  for (const json::value& pair : answer.at("pairs").as_array()) {
    if (pair.at("name") == json::string(name)) return pair.as_object();
  }
  return {};
}

std::uint64_t of_all_workers(const json::object& answer, const std::string& row) {
  std::uint64_t sum = 0;
  for (const json::value& worker : answer.at("workers").as_array())
    sum += number(worker.as_object(), row);
  return sum;
}

json::object ledger(const std::string& pair, const std::string& direction) {
  return pair_in(stats(), pair).at(direction).as_object();
}

std::uint64_t number(const json::object& object, const std::string& key) {
  return object.at(key).to_number<std::uint64_t>();
}

std::string drops_in(const json::object& ledger) {
  std::string found;
  for (const auto& [key, value] : ledger) {
    if (!key.starts_with("drop_") || value.to_number<std::uint64_t>() == 0) continue;
    found += std::string(key) + '=' + json::serialize(value) + ' ';
  }
  return found;
}

bool ledgers_at_rest() {
  const json::object now = stats();
  return std::ranges::all_of(now.at("pairs").as_array(), [](const json::value& pair) {
    return std::ranges::all_of(kDirections, [&](const char* direction) {
      const json::object& side = pair.at(direction).as_object();
      return side.at("balanced").as_bool() && number(side, "in_flight") == 0;
    });
  });
}

json::object softnet(const std::string& machine, unsigned cpu) {
  const json::object now = stats();
  for (const json::value& row : now.at("softnet").as_array()) {
    const bool same = row.at("machine") == json::string(machine);
    if (same && number(row.as_object(), "cpu") == cpu) return row.as_object();
  }
  throw std::runtime_error("no softnet row for " + machine + " cpu " + std::to_string(cpu));
}

}  // namespace vethd::system_test

// vethd: every part of the program is constructed here, and taken down in reverse.
#include <sys/random.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "config/parse.hpp"
#include "daemon/control/janitor_watch.hpp"
#include "daemon/control/kernels.hpp"
#include "daemon/control/left_out.hpp"
#include "daemon/control/loop.hpp"
#include "daemon/control/observe.hpp"
#include "daemon/control/pairs.hpp"
#include "daemon/control/settings.hpp"
#include "daemon/control/socket_server.hpp"
#include "daemon/control/stable_mac.hpp"
#include "daemon/control/worker_set.hpp"
#include "daemon/frame/arena.hpp"
#include "daemon/frame/pool.hpp"
#include "daemon/netns/janitor.hpp"
#include "daemon/pipeline/softnet.hpp"
#include "daemon/process/descriptors.hpp"
#include "daemon/process/line_output.hpp"
#include "daemon/process/log.hpp"
#include "daemon/process/log_sink.hpp"
#include "daemon/process/signals.hpp"
#include "daemon/ring/support.hpp"
#include "daemon/worker/exchange.hpp"
#include "daemon/worker/worker.hpp"
#include "drivers/uring/uring_io.hpp"
#include "xdp/log.hpp"
#include "xdp/object.hpp"

namespace vethd {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;  // could not set up or run
constexpr int kExitUsage = 2;   // bad usage or configuration

// A pair needs a descriptor per queue of each end; two sockets per namespace; the rest is a few.
// Treated as a wish: without CAP_SYS_RESOURCE the hard limit is what there is.
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &files));
}

Result<HashKey> random_key() {
  HashKey key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key) return fail("draw a random hash key");
  return key;
}

/// Everything between a checked configuration and the end of the process.
class Daemon {
 public:
  Daemon(const config::Config& config, Janitor& janitor, LogSink& log_sink)
      : config_(config), janitor_(janitor), left_out_(loop_, log_sink) {}

  Result<void> run() {
    loop_.on_signals(handled_signals(), [this](int signal) { on_signal(signal); });
    outcome_ = make_data_path();
    if (outcome_) outcome_ = make_control();
    if (outcome_) loop_.run();
    take_down();
    return std::move(outcome_);
  }

 private:
  Result<void> make_data_path() {
    auto support = probe_ring_support();
    if (!support) return pass(std::move(support));
    support_ = *support;
    for (const std::string& missing : support_.missing()) log::warn("io_uring: {}", missing);

    const std::size_t workers = config_.daemon.workers;
    auto arena = Arena::create(plan_arena(config_.daemon.memory_bytes, workers));
    if (!arena) return pass(std::move(arena));
    arena_.emplace(std::move(*arena));
    exchange_.emplace(workers, arena_->plan().frames_per_worker(), has_af_xdp());

    for (std::uint32_t i = 0; i < config_.machines.size(); ++i) {
      auto key = random_key();
      if (!key) return pass(std::move(key));
      const config::Softnet& softnet = config_.machines[i];
      machines_.push_back(std::make_unique<Machine>(
          MachineSetup{.id = {i},
                       .rules = rules_of(softnet.kernel),
                       .sysctls = sysctls_of(softnet),
                       .hash_key = *key,
                       .inline_arrival = softnet.arrival == config::Arrival::inline_,
                       .hz = softnet.hz,
                       .cpus = workers}));
    }
    for (std::size_t i = 0; i < workers; ++i) {
      pools_.push_back(std::make_unique<FramePool>(*arena_, i));
      auto io = UringIo::create(support_, *pools_.back());
      if (!io) return pass(std::move(io));
      ios_.push_back(std::move(*io));
      mailboxes_.push_back(std::make_unique<Mailbox>(kMailboxMails));
    }
    std::vector<const UringIo*> peers;
    for (const auto& io : ios_) peers.push_back(io.get());
    for (const auto& io : ios_) io->set_peers(peers);
    log::info("{} workers, arena of {} MiB: {} landing buffers and {} chunks each", workers,
              arena_->plan().bytes() >> 20, kLandingBuffers, arena_->plan().chunks_per_worker);
    return {};
  }

  Result<void> make_control() {
    // Another daemon that answers there is met before any device is made.
    if (auto removed = remove_stale_socket(config_.daemon.control_socket); !removed) return removed;
    janitor_watch_.emplace(loop_, janitor_);
    workers_.emplace(loop_);
    pairs_.emplace(loop_, janitor_, *workers_, config_.daemon.create_netns, take_nic_memory(),
                   rules_of_machines());
    observer_.emplace(config_, describe_daemon(), *pairs_, *workers_);
    settings_.emplace(config_, *pairs_, *workers_);

    std::vector<Machine*> machines;
    for (const auto& machine : machines_) machines.push_back(machine.get());
    std::vector<WorkerSet::Member> members;
    for (std::uint32_t i = 0; i < ios_.size(); ++i) {
      auto worker =
          std::make_unique<Worker>(WorkerParts{.cpu = {i},
                                               .clock = clock_,
                                               .pool = *pools_[i],
                                               .exchange = *exchange_,
                                               .machines = machines,
                                               .io = *ios_[i],
                                               .mailbox = *mailboxes_[i],
                                               .control = *workers_,
                                               .busy_poll = config_.daemon.busy_poll_usecs});
      const auto& affinity = config_.daemon.cpu_affinity;
      members.push_back({.worker = std::move(worker),
                         .mailbox = mailboxes_[i].get(),
                         .wake_fd = ios_[i]->wake_fd(),
                         .pin = affinity.empty() ? std::nullopt : std::optional(affinity[i])});
    }
    return workers_->start(std::move(members), [this](const Result<void>& started) {
      if (!started) return end(started);
      open_next_pair(0);
    });
  }

  /// Start-up takes the run-time path: a pair comes while those before it forward already.
  void open_next_pair(std::size_t index) {
    if (index == config_.pairs.size()) return end_unless(serve());
    pairs_->open(config_.pairs[index], [this, index](const Result<void>& opened) {
      if (!opened) {
        Error error = opened.error();
        error.doing = "pair " + config_.pairs[index].name + ": " + error.doing;
        return end(std::unexpected(std::move(error)));
      }
      open_next_pair(index + 1);
    });
  }

  Result<void> serve() {
    const std::string& path = config_.daemon.control_socket;
    if (const auto directory = missing_directory(path)) {
      auto told = janitor_.will_create_directory(*directory);
      if (!told && told.error().code != EEXIST) return pass(std::move(told));
      if (told)
        if (auto made = make_directory(*directory); !made) return made;
    }
    if (auto removed = remove_stale_socket(path); !removed) return removed;
    auto told = janitor_.will_create_socket(path);
    if (!told) return pass(std::move(told));
    auto server = SocketServer::listen(loop_.context(), path,
                                       [this](const Request& request, SocketServer::Reply reply) {
                                         answer(request, std::move(reply));
                                       });
    if (!server) return pass(std::move(server));
    server_.emplace(std::move(*server));
    if (const auto file = file_id(path))
      if (auto narrowed = janitor_.created(*told, *file); !narrowed) return narrowed;
    const std::string ready = fmt::format("ready: {} pairs on {} workers, control socket {}",
                                          config_.pairs.size(), config_.daemon.workers, path);
    if (!LineOutput(STDOUT_FILENO).write(ready)) log::warn("nobody reads stdout; {}", ready);
    return {};
  }

  void answer(const Request& request, SocketServer::Reply reply) {
    switch (request.command) {
      case Command::show:
        return observer_->show(reply);
      case Command::show_stats:
        return observer_->show_stats(std::move(reply));
      case Command::stats:
        return observer_->stats(std::move(reply));
      case Command::softnet:
        return observer_->softnet(request, std::move(reply));
      case Command::sysctl:
        return settings_->sysctl(request, reply);
      case Command::set:
        return settings_->set(request, reply);
    }
  }

  void on_signal(int signal) {
    switch (meaning_of(signal)) {
      case SignalMeaning::stop:
        log::info("{}: stopping", signal_name(signal));
        return loop_.stop();
      case SignalMeaning::reload:
        return log::info("{}: ignored; the configuration is read at the start: restart vethd",
                         signal_name(signal));
      case SignalMeaning::none:
        return log::info("{}: ignored; SIGTERM stops vethd", signal_name(signal));
    }
  }

  void end_unless(Result<void> result) {
    if (!result) end(std::move(result));
  }
  void end(Result<void> outcome) {
    outcome_ = std::move(outcome);
    loop_.stop();
  }

  void take_down() {
    server_.reset();
    janitor_watch_.reset();          // at the end it is told to end
    if (workers_) workers_->stop();  // nothing reads or writes any more
    if (pairs_) pairs_->close();
  }

  /// While the pools are still ours: their workers do not run yet.
  NicMemory take_nic_memory() {
    NicMemory memory{.arena = arena_->memory(), .first_chunks = {}};
    for (std::uint32_t pair = 0; pair < config_.pairs.size(); ++pair) {
      auto& chunks = memory.first_chunks.emplace_back();
      for (const Side side : {Side::a, Side::b}) {
        const config::End& end = side == Side::a ? config_.pairs[pair].a : config_.pairs[pair].b;
        if (end.driver != config::Driver::af_xdp) continue;
        for (std::uint32_t queue = 0; queue < end.queues; ++queue) {
          FramePool& pool = *pools_[Pairs::owner_of({pair}, queue, pools_.size()).value];
          auto& first = chunks[index_of(side)].emplace_back();
          const std::size_t wanted = std::min<std::size_t>(kFirstChunks, end.af_xdp.fill_ring);
          while (first.size() < wanted && pool.has_chunk())
            first.push_back(pool.take_empty_chunk());
        }
      }
    }
    return memory;
  }

  [[nodiscard]] std::vector<const Rules*> rules_of_machines() const {
    std::vector<const Rules*> rules;
    for (const config::Softnet& machine : config_.machines)
      rules.push_back(&rules_of(machine.kernel));
    return rules;
  }

  [[nodiscard]] bool has_af_xdp() const {
    return std::ranges::any_of(config_.pairs, [](const config::Pair& pair) {
      return pair.a.driver == config::Driver::af_xdp || pair.b.driver == config::Driver::af_xdp;
    });
  }

  [[nodiscard]] DaemonReport describe_daemon() const {
    DaemonReport report;
    report.version = VETHD_VERSION;
    report.pid = ::getpid();
    report.workers = config_.daemon.workers;
    report.memory_bytes = config_.daemon.memory_bytes;
    report.control_socket = config_.daemon.control_socket;
    report.io_uring = {.in_use = support_.in_use(), .missing = support_.missing()};
    return report;
  }

  const config::Config& config_;
  Janitor& janitor_;
  SystemClock clock_;
  RingSupport support_;
  std::optional<Arena> arena_;
  std::optional<Exchange> exchange_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::unique_ptr<FramePool>> pools_;
  std::vector<std::unique_ptr<UringIo>> ios_;
  std::vector<std::unique_ptr<Mailbox>> mailboxes_;
  Loop loop_;
  LeftOutLines left_out_;
  std::optional<JanitorWatch> janitor_watch_;
  std::optional<WorkerSet> workers_;
  std::optional<Pairs> pairs_;
  std::optional<Observer> observer_;
  std::optional<Settings> settings_;
  std::optional<SocketServer> server_;
  Result<void> outcome_;
};

int run(const config::Config& config, LogSink& log_sink) {
  raise_file_limit();
  auto janitor = Janitor::start();  // forks: before there is any thread
  if (!janitor) {
    log::error("{}", janitor.error().text());
    return kExitFailed;
  }
  Result<void> outcome;
  try {
    outcome = Daemon(config, *janitor, log_sink).run();
  } catch (const std::system_error& error) {  // threads say it this way
    outcome = fail(error.what(), "raise pids.max or ulimit -u", error.code().value());
  } catch (const boost::system::system_error& error) {  // the event loop
    outcome = fail(error.what(), "", error.code().value());
  }
  if (auto finished = janitor->finish(); !finished && outcome) outcome = std::move(finished);
  if (!outcome) log::error("{}", outcome.error().text());
  log_sink.say_left_out();
  return outcome ? kExitOk : kExitFailed;
}

int main(int argc, char** argv) {
  if (!open_standard_descriptors()) return kExitFailed;  // and nowhere to say so
  settle_signals();
  const auto log_sink = start_log();
  route_bpf_log();

  CLI::App app("vethd emulates Linux veth in userspace: it connects two network namespaces.");
  std::string file;
  bool check = false;
  app.add_option("--config", file, "what to connect (TOML)")->required()->type_name("FILE");
  app.add_flag("--check", check, "validate the configuration and exit");
  app.set_version_flag("--version", "vethd " VETHD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }

  auto host = config::this_host();
  if (!host) {
    log::error("{}", host.error().text());
    return kExitFailed;
  }
  host->inspect_xdp = [](const std::string& object,
                         const std::string& program) -> Result<config::XdpProgram> {
    auto info = inspect_xdp(object, program);
    if (!info) return pass(std::move(info));
    return config::XdpProgram{.frags = info->frags};
  };
  auto config = config::load(file, *host);
  if (!config) {
    std::fputs(config.error().text().c_str(), stderr);
    return kExitUsage;
  }
  if (check) return kExitOk;
  give_macs(*config, host_key());
  return run(*config, *log_sink);
}

}  // namespace
}  // namespace vethd

int main(int argc, char** argv) { return vethd::main(argc, argv); }

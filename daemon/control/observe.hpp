// Answers to `show`, `stats` and `softnet`: what control knows itself, and what it asks the
// workers.
#pragma once

#include <functional>
#include <vector>

#include "config/schema.hpp"
#include "daemon/control/pairs.hpp"
#include "daemon/control/protocol.hpp"
#include "daemon/control/worker_set.hpp"
#include "daemon/stats/report.hpp"

namespace vethd {

/// Threads  the loop's.
class Observer {
 public:
  Observer(const config::Config& config, DaemonReport daemon, Pairs& pairs, WorkerSet& workers)
      : config_(config), daemon_(std::move(daemon)), pairs_(pairs), workers_(workers) {}

  using Reply = std::function<void(const Answer&)>;

  void show(const Reply& reply) const;
  void show_stats(Reply reply);
  void stats(Reply reply);
  void softnet(const Request& request, Reply reply);

 private:
  [[nodiscard]] Report describe() const;
  void add_veth_view(Report& report) const;
  void add_snapshots(Report& report, const std::vector<MailAnswer>& answers) const;

  const config::Config& config_;
  DaemonReport daemon_;
  Pairs& pairs_;
  WorkerSet& workers_;
};

}  // namespace vethd

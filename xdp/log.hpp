// What libbpf and libxdp say, and where it goes.
#pragma once

#include <string>

namespace vethd {

/// Sends what both libraries print to the log, at debug level: what an operator must know is in the
/// Error of the call that failed. Once, before any use of them.
void route_bpf_log();

/// Listens to the libraries' warnings while it lives, to tell why a call failed.
///
/// Threads  hears only those of the thread that made it; one at a time.
class BpfWarnings {
 public:
  BpfWarnings();
  ~BpfWarnings();
  BpfWarnings(const BpfWarnings&) = delete;
  BpfWarnings& operator=(const BpfWarnings&) = delete;

  /// One line: the verifier's verdict if it refused a program, or else the first warning.
  [[nodiscard]] std::string cause() const;

  void add(const char* text);

 private:
  std::string text_;  // bounded by kMaxWarningBytes
};

}  // namespace vethd

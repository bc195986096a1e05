// Counts what somebody else's XDP program returns.
#pragma once

#include <memory>
#include <string>

#include "daemon/core/result.hpp"
#include "daemon/stats/verdicts.hpp"

struct verdicts_bpf;

namespace vethd {

/// An fexit program on a loaded XDP program: runs on every return of it, natively or generically
/// called, and dies with the process.
///
/// Errors  the program has no BTF, or the kernel refuses fexit programs.
class VerdictCounter {
 public:
  static Result<VerdictCounter> attach(int program_fd, const std::string& program);

  [[nodiscard]] Result<XdpVerdicts> read() const;

 private:
  struct Destroy {
    void operator()(verdicts_bpf* skeleton) const;
  };
  using Skeleton = std::unique_ptr<verdicts_bpf, Destroy>;

  explicit VerdictCounter(Skeleton skeleton) : skeleton_(std::move(skeleton)) {}

  Skeleton skeleton_;
};

}  // namespace vethd

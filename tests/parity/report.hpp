// Both sides of every case: what the checklist's rows come to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/parity/case.hpp"

namespace vethd::parity {

/// What one case showed. kernel: the version of `expected` and `ours`; theirs is the running
/// kernel.
struct Outcome {
  unsigned row = 0;
  std::string name;
  std::string kernel;
  Values expected;
  std::optional<Values> theirs;  // a real veth pair; nothing: only vethd can be this kernel
  Values ours;

  [[nodiscard]] bool agrees() const { return ours == expected && (!theirs || *theirs == expected); }
};

class Report {
 public:
  void add(Outcome outcome) { outcomes_.push_back(std::move(outcome)); }

  /// Cases in which a real veth pair took part and both sides were as expected.
  [[nodiscard]] unsigned agreed() const;

  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string json() const;

 private:
  std::vector<Outcome> outcomes_;
};

}  // namespace vethd::parity

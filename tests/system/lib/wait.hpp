// Waiting on a condition with a deadline: the only place in these tests where time passes.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string_view>

namespace vethd::system_test {

using namespace std::chrono_literals;  // NOLINT(google-global-names-in-headers): test vocabulary
using std::chrono::milliseconds;

/// Blocks for one turn of a bounded wait.
void pause_for(milliseconds turn);

/// Asks holds() until it says yes or limit has passed; the failure names what was waited for.
template <class Condition>
testing::AssertionResult wait_until(Condition&& holds, milliseconds limit, std::string_view what) {
  constexpr milliseconds kTurn = 5ms;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {  // ends at the deadline
    const bool late = std::chrono::steady_clock::now() >= deadline;
    if (holds()) return testing::AssertionSuccess();
    if (late)
      return testing::AssertionFailure() << "not within " << limit.count() << " ms: " << what;
    pause_for(kTurn);
  }
}

}  // namespace vethd::system_test

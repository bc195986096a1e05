// main for every system test: the sandbox first, then the tests; 77 when all of them were skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>

#include "tests/system/lib/sandbox.hpp"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  testing::InitGoogleTest(&argc, argv);
  try {
    if (vethd::system_test::missing_privilege().empty()) vethd::system_test::enter_sandbox();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "system tests cannot make their sandbox: %s\n", error.what());
    return 1;
  }
  const int result = RUN_ALL_TESTS();
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  const bool none_ran =
      all.test_to_run_count() > 0 && all.skipped_test_count() == all.test_to_run_count();
  return result == 0 && none_ran ? kSkipped : result;
}

// Where the objects of these tests are.
#pragma once

#include <string>

#include "tests/platform/netns/support.hpp"

namespace vethd::test {

inline const std::string kPrograms = XDP_TEST_OBJECTS "programs.bpf.o";
inline const std::string kNoBtf = XDP_TEST_OBJECTS "pass.bpf.o";

}  // namespace vethd::test

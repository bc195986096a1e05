#include "xdp/object.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/platform/xdp/support.hpp"
#include "xdp/log.hpp"

namespace vethd::test {
namespace {

/// Needs no privilege: nothing is loaded.
class XdpObject : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { route_bpf_log(); }

  static void expect_refusal(const std::string& object, const std::string& program, int code,
                             const std::string& hint) {
    ::testing::internal::CaptureStderr();
    const Result<XdpObjectInfo> refused = inspect_xdp(object, program);
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "the library's own words";
    ASSERT_FALSE(refused) << object << " " << program;
    EXPECT_EQ(refused.error().code, code) << refused.error().text();
    EXPECT_NE(refused.error().hint.find(hint), std::string::npos) << refused.error().text();
    EXPECT_NE(refused.error().doing.find(object), std::string::npos) << refused.error().text();
  }
};

TEST_F(XdpObject, SaysWhetherAProgramTakesFragments) {
  EXPECT_FALSE(must(inspect_xdp(kPrograms, "pass_all")).frags);
  EXPECT_TRUE(must(inspect_xdp(kPrograms, "pass_frags")).frags);
}

TEST_F(XdpObject, IsRefusedWhenThereIsNoFile) {
  expect_refusal("/run/no-such-object.o", "pass_all", ENOENT, "no such file");
}

TEST_F(XdpObject, IsRefusedWhenItIsNotForBpf) {
  expect_refusal("/proc/self/exe", "main", ENOEXEC, "clang -O2 -g -target bpf");
  expect_refusal("/proc/self/status", "main", ENOEXEC, "clang -O2 -g -target bpf");
  expect_refusal("/", "main", ENOEXEC, "clang -O2 -g -target bpf");
}

TEST_F(XdpObject, NamesItsProgramsWhenTheOneAskedForIsNotThere) {
  expect_refusal(kPrograms, "pas_all", 0, "its programs are: pass_all, drop_all, tx_all");
  expect_refusal(kNoBtf, "drop_all", 0, "its programs are: pass_all");
}

TEST_F(XdpObject, RefusesProgramsThatAreNotForADevice) {
  expect_refusal(kPrograms, "classifier", EINVAL, "it is in section \"tc\"");
  expect_refusal(kPrograms, "of_a_devmap", EINVAL, "\"xdp.frags\"");
}

}  // namespace
}  // namespace vethd::test

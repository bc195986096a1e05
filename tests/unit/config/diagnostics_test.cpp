#include "config/diagnostics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "config/suggest.hpp"

namespace vethd::config {
namespace {

TEST(Diagnostics, PrintPlaceLineAndCaretInOrderOfTheFile) {
  Diagnostics out("pair.toml", "one\n\ttwo \xc3\xa9 x\r\n");
  out.add({2, 8}, "wrong x", "write y", Note{{1, 2}, "see here"});
  out.add({1, 1}, "first", "");
  out.add({}, "the whole", "start again");
  EXPECT_EQ(out.text(),
            "pair.toml: error: the whole; start again\n"
            "pair.toml:1:1: error: first\n"
            "  one\n"
            "  ^\n"
            "pair.toml:2:8: error: wrong x; write y\n"
            "  \ttwo \xc3\xa9 x\n"
            "  \t      ^\n"
            "pair.toml:1:2: note: see here\n"
            "  one\n"
            "   ^\n");
}

TEST(Diagnostics, KeepTheTerminalSafe) {
  Diagnostics out("f", "a\x1b[2Jb\n");
  out.add({1, 1}, "key 'x\x1b[2J'", "no");
  EXPECT_EQ(out.text().find('\x1b'), std::string::npos);
}

TEST(Diagnostics, ShowAWindowOfALongLine) {
  Diagnostics out("f", std::string(5000, 'a') + "X" + std::string(5000, 'a'));
  out.add({1, 5001}, "here", "");
  EXPECT_EQ(out.text(), "f:1:5001: error: here\n  " + std::string(60, 'a') + "X" +
                            std::string(59, 'a') + "\n  " + std::string(60, ' ') + "^\n");
}

TEST(Diagnostics, PrintAtMostFifty) {
  Diagnostics out("f", "a\n");
  for (int i = 0; i < 70; ++i) out.add({1, 1}, "e", "");
  EXPECT_EQ(out.size(), 70U);
  EXPECT_TRUE(out.text().ends_with("f: error: 20 more\n"));
}

TEST(Diagnostics, ClipLongWords) { EXPECT_EQ(quote(std::string(1000, 'k')).size(), 64U + 5); }

constexpr std::array<std::string_view, 4> kKeys = {"netdev_max_backlog", "netdev_budget",
                                                   "netdev_budget_usecs", "mtu"};

TEST(Suggest, FindsTheNearestName) {
  EXPECT_EQ(nearest("max_backlogg", kKeys), "netdev_max_backlog");
  EXPECT_EQ(nearest("netdev_max_backlgo", kKeys), "netdev_max_backlog");
  EXPECT_EQ(nearest("budget", kKeys), "netdev_budget");
  EXPECT_EQ(nearest("netdev_budget_usec", kKeys), "netdev_budget_usecs");
  EXPECT_EQ(nearest("mut", kKeys), "");
  EXPECT_EQ(nearest("mt", kKeys), "mtu");
}

TEST(Suggest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest("colour", kKeys), "");
  EXPECT_EQ(nearest("", kKeys), "");
  EXPECT_EQ(nearest(std::string(100'000, 'm'), kKeys), "");
  EXPECT_EQ(suggest("colour", kKeys),
            "known: netdev_max_backlog, netdev_budget, netdev_budget_usecs, mtu");
}

}  // namespace
}  // namespace vethd::config

// What may not reach the TOML library, and what of it comes back.
#include "config/toml.hpp"

#include <gtest/gtest.h>

#include <string>

#include "config/parse.hpp"
#include "tests/unit/config/check.hpp"

namespace vethd::config::test {
namespace {

TEST(Toml, RefusesEachKindOfMalformedUtf8WithItsPlace) {
  for (const std::string bytes : {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                                  "\xef\xb3", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_TRUE(
        shows(refused("# \xc3\xa9\n# \xc3\xa9" + bytes + "\n"), "t.toml:2:4: error: byte 0x"));
  }
}

TEST(Toml, AcceptsCommentsInAnyScript) {
  accepted(
      "\xef\xbb\xbf# \xe2\x80\x94 Gr\xc3\xbc\xc3\x9f"
      "e \xf0\x9f\x90\xa7\n" +
      std::string(kPair));
}

TEST(Toml, RefusesOtherScriptsInKeysAndStrings) {
  EXPECT_TRUE(shows(refused(with_end_a("netns = \"r\xc3\xb6t\"")),
                    "t.toml:6:11: error: '\xc3\xb6' is not ASCII; outside comments"));
  EXPECT_TRUE(shows(refused(with_end_a("\"\xc3\xb6\" = 1")), "'\xc3\xb6' is not ASCII"));
  EXPECT_TRUE(shows(refused(with_end_a("netns = \"\"\"\\\n\xc2\xa7\"\"\"")), "is not ASCII"));
}

TEST(Toml, AcceptsQuestionMarksThatWereWritten) {
  EXPECT_EQ(accepted("# \xc3\xb6\n" + with_end_a("netns = \"r?t\"")).pairs[0].a.netns.text, "r?t");
}

// Each of these reaches unreachable code or an assertion inside toml++ 3.3.
TEST(Toml, SurvivesWhatTheLibraryMishandles) {
  for (const char* text :
       {"\xef\xb3\xbfn", "\xcc\xaa", "[&", "[[&", " [ \t", "[\n", "a = [\n[&]]"}) {
    EXPECT_TRUE(shows(refused(text), "error: ")) << text;
  }
}

TEST(Toml, SurvivesDeepNesting) {
  std::string dotted = "a";
  for (int i = 0; i < 400'000; ++i) dotted += ".a";
  EXPECT_TRUE(shows(refused("[" + dotted + "]\n"), "t.toml:1:1: error: more than 64 dots"));

  std::string brackets = "x = " + std::string(10'000, '[');
  EXPECT_TRUE(shows(refused(brackets), "error: not TOML"));

  // The deepest that passes the line check: dotted keys inside alternating brackets.
  std::string key = "a";
  for (int i = 0; i < 64; ++i) key += ".a";
  std::string nested = "x = ";
  for (int i = 0; i < 120; ++i) nested += "[\n {" + key + " = ";
  nested += "1";
  for (int i = 0; i < 120; ++i) nested += " }]";
  EXPECT_TRUE(shows(refused(nested + "\n"), "nested more than 8 levels deep"));
}

TEST(Toml, SurvivesHugeInput) {
  EXPECT_TRUE(shows(refused(std::string(kMaxFileBytes + 1, '#')),
                    "t.toml: error: larger than 1048576 bytes"));
  std::string numbers = "cpu_affinity = [";
  for (int i = 0; i < 100'000; ++i) numbers += "99999,\n";
  const std::string errors = refused(with_daemon(numbers + "]"));
  EXPECT_TRUE(shows(errors, "error: 99950 more"));
  EXPECT_LT(errors.size(), 100'000U);
  EXPECT_TRUE(shows(refused("x = \"" + std::string(500'000, 'y') + "\""), "unknown section 'x'"));
}

TEST(Toml, ReportsSyntaxErrorsWithTheirPlace) {
  EXPECT_TRUE(shows(refused("[daemon]\nworkers 2\n"), "t.toml:2:9: error: not TOML: "));
  EXPECT_TRUE(shows(refused("[daemon]\nworkers = 2\nworkers = 3\n"), "t.toml:3:"));
}

}  // namespace
}  // namespace vethd::config::test

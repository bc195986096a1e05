// The manual and the examples agree with the code.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "config/keys.hpp"
#include "config/parse.hpp"
#include "tests/unit/config/check.hpp"

namespace vethd::config::test {
namespace {

std::string manual() {
  std::ifstream file(CONFIG_DIR "/README.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A file with one key written out, in the section it belongs to.
std::string with_key(std::string_view section, const KeyInfo& key, std::string_view value) {
  const std::string line = std::string(key.name) + " = " + std::string(value);
  if (section == "[daemon]")
    return with_daemon("workers = 2\n" + (key.name == "workers" ? "" : line));
  if (section == "[softnet]") return with_softnet(line);
  if (section == "[pair.a]")
    return key.driver == Driver::af_xdp ? with_nic_at_a(line) : with_end_a(line);
  if (section == "[pair.a.metadata]") return with_metadata(line);
  if (section == "[pair.a.xdp]") {
    const bool object = key.name == "object";
    return with_xdp(line + (object ? "\nprogram = \"p\"" : "\nobject = \"o\""));
  }
  if (key.name == "name") {
    return "[[pair]]\n" + line + "\n[pair.a]\nifname = \"a\"\n[pair.b]\nifname = \"b\"\n";
  }
  return "[softnet.small]\n" + with_pair(line);
}

TEST(Manual, HasARowForEveryKeyWithItsUnitDefaultAndRange) {
  const std::string text = manual();
  for (const SectionInfo& section : all_keys()) {
    const std::string title = "## `" + std::string(section.name) + "`";
    std::size_t at = text.find(title);
    ASSERT_NE(at, std::string::npos) << title;
    const std::string part = text.substr(at, text.find("\n## ", at + 1) - at);
    for (const KeyInfo& key : section.keys) {
      const std::string range =
          key.min == key.max ? "" : std::to_string(key.min) + ".." + std::to_string(key.max);
      const std::string row = "| `" + std::string(key.name) + "` | " + std::string(key.unit) +
                              " | " + std::string(key.standard) + " | " + range;
      EXPECT_TRUE(shows(part, row));
    }
  }
}

TEST(Manual, TellsTheKeysOfATapFromThoseOfAnAfXdpEnd) {
  const std::string text = manual();
  const std::size_t border = text.find("With\n`driver = \"af_xdp\"`");
  ASSERT_NE(border, std::string::npos);
  const std::size_t end = text.find("\n## ", border);
  int checked = 0;
  for (const SectionInfo& section : all_keys()) {
    for (const KeyInfo& key : section.keys) {
      if (!key.driver) continue;
      const std::string row = "\n| `" + std::string(key.name) + "` |";
      const bool below = text.substr(border, end - border).find(row) != std::string::npos;
      EXPECT_EQ(below, key.driver == Driver::af_xdp) << key.name;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 14);
}

TEST(Manual, GivesExamplesAndDefaultsThatAreAccepted) {
  for (const SectionInfo& section : all_keys()) {
    for (const KeyInfo& key : section.keys) {
      accepted(with_key(section.name, key, key.example));
      const char first = key.standard.front();
      const bool literal = first == '"' || first == '[' || (first >= '0' && first <= '9') ||
                           key.standard == "true" || key.standard == "false";
      if (literal) accepted(with_key(section.name, key, key.standard));
    }
  }
}

TEST(Examples, AreAcceptedAsTheyStand) {
  int examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CONFIG_DIR "/examples")) {
    const auto config = load(entry.path().string(), kHost);
    EXPECT_TRUE(config) << config.error().text();
    ++examples;
  }
  EXPECT_GE(examples, 7);
}

}  // namespace
}  // namespace vethd::config::test

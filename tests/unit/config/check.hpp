// Ways to try a piece of configuration.
#pragma once

#include <gtest/gtest.h>

#include <expected>
#include <string>
#include <string_view>

#include "config/parse.hpp"

namespace vethd::config::test {

inline const Host kHost{.online_cpus = {0, 1, 2, 3}};

inline constexpr std::string_view kPair =
    "[[pair]]\nname = \"p\"\n"
    "[pair.a]\nnetns = \"red\"\nifname = \"veth0\"\n"
    "[pair.b]\nnetns = \"blue\"\nifname = \"veth1\"\n";

/// Line of the first line after the header of [pair.a] in with_end_a().
inline constexpr unsigned kEndALine = 6;

/// A whole file around lines of [daemon], [softnet], [[pair]] or [pair.a].
inline std::string with_daemon(std::string_view lines) {
  return "[daemon]\n" + std::string(lines) + "\n" + std::string(kPair);
}
inline std::string with_softnet(std::string_view lines) {
  return "[softnet]\n" + std::string(lines) + "\n" + std::string(kPair);
}
inline std::string with_pair(std::string_view lines) {
  return "[[pair]]\nname = \"p\"\n" + std::string(lines) +
         "\n[pair.a]\nifname = \"veth0\"\n[pair.b]\nifname = \"veth1\"\n";
}
inline std::string with_end_a(std::string_view lines) {
  return "[[pair]]\nname = \"p\"\n[pair.b]\nifname = \"veth1\"\n[pair.a]\n" + std::string(lines) +
         "\n" + (lines.find("ifname") == lines.npos ? "ifname = \"veth0\"\n" : "");
}

inline std::string with_nic_at_a(std::string_view lines) {
  return with_end_a("driver = \"af_xdp\"\n" + std::string(lines));
}
inline std::string with_metadata(std::string_view lines) {
  return with_end_a("") + "[pair.a.metadata]\n" + std::string(lines) + "\n";
}
inline std::string with_xdp(std::string_view lines) {
  return with_end_a("") + "[pair.a.xdp]\n" + std::string(lines) + "\n";
}

inline std::expected<Config, Diagnostics> parse_text(std::string_view text) {
  return parse(text, "t.toml", kHost);
}

/// The configuration, or a failed test that shows the errors.
inline Config accepted(std::string_view text) {
  auto config = parse_text(text);
  if (config) return *std::move(config);
  ADD_FAILURE() << "refused:\n" << text << "\n" << config.error().text();
  return {};
}

/// The printed errors, or a failed test.
inline std::string refused(std::string_view text) {
  const auto config = parse_text(text);
  if (!config) return config.error().text();
  ADD_FAILURE() << "accepted:\n" << text;
  return {};
}

inline testing::AssertionResult shows(std::string_view text, std::string_view part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << part << "\" in:\n" << text;
}

}  // namespace vethd::config::test

// What vethctl and the daemon say to each other: one line of JSON each way, any number of times.
//
//   {"command":"sysctl","machine":"default","name":"net.core.netdev_budget","value":"600"}
//   {"ok":true,"result":{...}}   or   {"ok":false,"error":"..."}
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace vethd {

enum class Command : std::uint8_t { show, show_stats, stats, softnet, sysctl, set };

/// A command and what it is about. All arguments are strings, as somebody has typed them; which
/// of them a command takes and needs, parse_request() has checked.
struct Request {
  Command command = Command::show;
  std::optional<std::string> machine =
      {};  // softnet: left out, all; sysctl: left out, the default one
  std::optional<std::string> name = {};   // sysctl: left out, all; set: the key
  std::optional<std::string> value = {};  // sysctl: left out, it is read
  std::optional<std::string> pair = {};   // set
  std::optional<std::string> end = {};    // set: "a" or "b"

  friend bool operator==(const Request&, const Request&) = default;
};

/// The command's result, or why there is none.
using Answer = std::expected<boost::json::object, std::string>;

constexpr std::size_t kMaxRequestBytes = 4096;  // newline included; names have 63 bytes at most

// One direction of `stats` is about 1 KiB of text: 2 for each of 4096 pairs, and room to grow.
constexpr std::size_t kMaxAnswerBytes = 64UL << 20;

std::string request_line(const Request& request);
std::string answer_line(const Answer& answer);

// The other side's line, without the newline. Errors: what is wrong with it, in words.
std::expected<Request, std::string> parse_request(std::string_view line);
Answer parse_answer(std::string_view line);

}  // namespace vethd

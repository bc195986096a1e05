// What vethctl and the daemon say to each other: one line of JSON each way, any number of times.
//
//   {"command":"stats"}
//   {"ok":true,"result":{...}}   or   {"ok":false,"error":"..."}
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace vethd {

enum class Command : std::uint8_t { show, stats };

/// The command's result, or why there is none.
using Answer = std::expected<boost::json::object, std::string>;

constexpr std::size_t kMaxRequestBytes = 4096;  // newline included; the longest valid one has 20

// One direction of `stats` is about 1 KiB of text: 2 for each of 4096 pairs, and room to grow.
constexpr std::size_t kMaxAnswerBytes = 64UL << 20;

std::string request_line(Command command);
std::string answer_line(const Answer& answer);

// The other side's line, without the newline. Errors: what is wrong with it, in words.
std::expected<Command, std::string> parse_request(std::string_view line);
Answer parse_answer(std::string_view line);

}  // namespace vethd

#include "daemon/control/protocol.hpp"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

namespace vethd {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<Command, std::string_view>, 2> kCommands{{
    {Command::show, "show"},
    {Command::stats, "stats"},
}};

/// Nesting is bounded by Boost.JSON, at 32.
std::optional<json::object> parse_object(std::string_view line) {
  boost::system::error_code error;
  json::value value = json::parse(line, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

}  // namespace

std::string request_line(Command command) {
  for (const auto& [known, name] : kCommands) {
    if (known == command) return json::serialize(json::object{{"command", name}}) + '\n';
  }
  std::unreachable();
}

std::expected<Command, std::string> parse_request(std::string_view line) {
  const std::optional<json::object> request = parse_object(line);
  if (!request) return std::unexpected("a request is one line with a JSON object");
  const json::value* command = request->if_contains("command");
  if (command == nullptr || request->size() != 1 || !command->is_string()) {
    return std::unexpected(R"(a request is {"command": NAME} and nothing else)");
  }
  for (const auto& [known, name] : kCommands) {
    if (command->get_string() == name) return known;
  }
  std::string error = "unknown command; known are";
  for (const auto& [known, name] : kCommands) (error += ' ') += name;
  return std::unexpected(std::move(error));
}

std::string answer_line(const Answer& answer) {
  json::object line{{"ok", answer.has_value()}};
  if (answer) {
    line["result"] = *answer;
  } else {
    line["error"] = answer.error();
  }
  return json::serialize(line) + '\n';
}

Answer parse_answer(std::string_view line) {
  std::optional<json::object> answer = parse_object(line);
  json::value* ok = answer ? answer->if_contains("ok") : nullptr;
  json::value* result = answer ? answer->if_contains("result") : nullptr;
  json::value* error = answer ? answer->if_contains("error") : nullptr;
  if (ok != nullptr && ok->is_bool()) {
    if (ok->get_bool() && result != nullptr && result->is_object())
      return std::move(result->get_object());
    if (!ok->get_bool() && error != nullptr && error->is_string())
      return std::unexpected(std::string(error->get_string()));
  }
  return std::unexpected("not an answer of vethd");
}

}  // namespace vethd

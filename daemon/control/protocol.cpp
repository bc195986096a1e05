#include "daemon/control/protocol.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

namespace vethd {
namespace {

namespace json = boost::json;

// In the order of Request.
struct Argument {
  std::string_view name;
  std::optional<std::string> Request::* value;
};
constexpr std::array kArguments = {
    Argument{"machine", &Request::machine}, Argument{"name", &Request::name},
    Argument{"value", &Request::value},     Argument{"pair", &Request::pair},
    Argument{"end", &Request::end},
};

enum class Use : std::uint8_t { no, may, must };
struct CommandInfo {
  Command command;
  std::string_view name;
  std::array<Use, kArguments.size()> uses;  // of each argument
};
constexpr std::array kCommands = {
    CommandInfo{Command::show, "show", {}},
    CommandInfo{Command::show_stats, "show-stats", {}},
    CommandInfo{Command::stats, "stats", {}},
    CommandInfo{Command::softnet, "softnet", {Use::may}},
    CommandInfo{Command::sysctl, "sysctl", {Use::may, Use::may, Use::may}},
    CommandInfo{Command::set, "set", {Use::no, Use::must, Use::must, Use::must, Use::must}},
};

/// Nesting is bounded by Boost.JSON, at 32.
std::optional<json::object> parse_object(std::string_view line) {
  boost::system::error_code error;
  json::value value = json::parse(line, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

}  // namespace

std::string request_line(const Request& request) {
  const auto* const info = std::ranges::find(kCommands, request.command, &CommandInfo::command);
  json::object line{{"command", info->name}};
  for (const Argument& argument : kArguments)
    if (const auto& value = request.*argument.value) line[argument.name] = *value;
  return json::serialize(line) + '\n';
}

std::expected<Request, std::string> parse_request(std::string_view line) {
  const std::optional<json::object> object = parse_object(line);
  if (!object) return std::unexpected("a request is one line with a JSON object");
  const json::value* command = object->if_contains("command");
  if (command == nullptr || !command->is_string())
    return std::unexpected(R"(a request is {"command": NAME, ...})");
  const auto* const info =
      std::ranges::find(kCommands, std::string_view(command->get_string()), &CommandInfo::name);
  if (info == kCommands.end()) {
    std::string error = "unknown command; known are";
    for (const CommandInfo& known : kCommands) (error += ' ') += known.name;
    return std::unexpected(std::move(error));
  }
  Request request{.command = info->command};
  std::size_t understood = 1;
  for (std::size_t i = 0; i < kArguments.size(); ++i) {
    const auto& [name, member] = kArguments[i];
    const json::value* value = object->if_contains(name);
    if (value == nullptr) {
      if (info->uses[i] != Use::must) continue;
      return std::unexpected(std::string(info->name) + " needs " + std::string(name));
    }
    if (info->uses[i] == Use::no) break;
    if (!value->is_string()) return std::unexpected(std::string(name) + " is a string");
    request.*member = std::string(value->get_string());
    ++understood;
  }
  if (understood != object->size())
    return std::unexpected(std::string(info->name) + " takes no such argument");
  if (request.value && !request.name) return std::unexpected("a value needs its name");
  return request;
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

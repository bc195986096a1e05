#include "daemon/control/protocol.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>

namespace vethd {
namespace {

using namespace std::string_literals;
namespace json = boost::json;

/// The line without its newline, which must be its only one.
std::string one_line(std::string line) {
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  line.pop_back();
  return line;
}

TEST(Protocol, EachRequestArrives) {
  const Request requests[] = {
      {.command = Command::show},
      {.command = Command::stats},
      {.command = Command::softnet},
      {.command = Command::softnet, .machine = "small"},
      {.command = Command::sysctl},
      {.command = Command::sysctl, .machine = "small", .name = "net.core.netdev_budget"},
      {.command = Command::sysctl, .name = "net.core.netdev_budget", .value = ""},
      {.command = Command::set, .name = "rps_cpus", .value = "0,\"\n", .pair = "web", .end = "a"},
  };
  for (const Request& request : requests) {
    const std::string line = one_line(request_line(request));
    EXPECT_EQ(parse_request(line), request) << line;
  }
  EXPECT_EQ(request_line({.command = Command::stats}), "{\"command\":\"stats\"}\n");
  EXPECT_EQ(request_line({.command = Command::softnet, .machine = "x"}),
            "{\"command\":\"softnet\",\"machine\":\"x\"}\n");
}

TEST(Protocol, RefusesArgumentsThatDoNotFitTheCommand) {
  const struct {
    std::string_view line, error;
  } kCases[] = {
      {R"({"command":"show","machine":"x"})", "show takes no such argument"},
      {R"({"command":"softnet","name":"x"})", "softnet takes no such argument"},
      {R"({"command":"softnet","machine":7})", "machine is a string"},
      {R"({"command":"softnet","machine":null})", "machine is a string"},
      {R"({"command":"sysctl","value":"x"})", "a value needs its name"},
      {R"({"command":"sysctl","name":"x","colour":"red"})", "sysctl takes no such argument"},
      {R"({"command":"sysctl","name":"x","pair":"web"})", "sysctl takes no such argument"},
      {R"({"command":"set","name":"x","value":"1","pair":"web"})", "set needs end"},
      {R"({"command":"set"})", "set needs name"},
      {R"({"command":"set","name":"x","value":"1","pair":"web","end":"a","machine":"m"})",
       "set takes no such argument"},
  };
  for (const auto& [line, error] : kCases) {
    const auto request = parse_request(line);
    ASSERT_FALSE(request) << line;
    EXPECT_EQ(request.error(), error);
  }
}

TEST(Protocol, EachAnswerArrives) {
  const json::object result{{"text", "two\nlines"}, {"number", 7}};
  EXPECT_EQ(parse_answer(one_line(answer_line(result))), Answer(result));
  const Answer error = std::unexpected("no \"such\"\nthing"s);
  EXPECT_EQ(parse_answer(one_line(answer_line(error))), error);
  EXPECT_EQ(answer_line(json::object{}), "{\"ok\":true,\"result\":{}}\n");
  EXPECT_EQ(answer_line(std::unexpected("why"s)), "{\"ok\":false,\"error\":\"why\"}\n");
}

TEST(Protocol, RefusesWhatIsNoRequest) {
  const std::string garbage[] = {"",
                                 "stats",
                                 "{",
                                 "[]",
                                 "null",
                                 "7",
                                 "\"stats\"",
                                 "{}",
                                 "\xff\xfe",
                                 std::string(100, '\0'),
                                 "{\"command\":\"stats\"}\0"s,
                                 "{\"command\":\"stats\"}{\"command\":\"stats\"}",
                                 "{\"command\":7}",
                                 "{\"command\":null}",
                                 "{\"command\":[\"stats\"]}",
                                 "{\"command\":\"stats\",\"verbose\":true}",
                                 "{\"Command\":\"stats\"}",
                                 "{\"command\":\"stats\xff\"}",
                                 "{\"command\":\"\"}",
                                 "{\"command\":\"STATS\"}",
                                 std::string(kMaxRequestBytes, '['),
                                 std::string(kMaxRequestBytes, '{')};
  for (const std::string& line : garbage) {
    const auto command = parse_request(line);
    ASSERT_FALSE(command) << line;
    EXPECT_FALSE(command.error().empty());
  }
}

TEST(Protocol, SaysWhichCommandsThereAre) {
  const auto command = parse_request("{\"command\":\"stat\"}");
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error(), "unknown command; known are show show-stats stats softnet sysctl set");
}

TEST(Protocol, RefusesWhatIsNoAnswer) {
  for (const char* line : {"", "{}", "[]", "ok", "{\"ok\":true}", "{\"ok\":true,\"result\":7}",
                           "{\"ok\":false}", "{\"ok\":false,\"error\":7}", "{\"ok\":1}",
                           "{\"ok\":true,\"error\":\"x\"}", "{\"result\":{}}"}) {
    EXPECT_EQ(parse_answer(line), Answer(std::unexpected("not an answer of vethd"s))) << line;
  }
}

}  // namespace
}  // namespace vethd

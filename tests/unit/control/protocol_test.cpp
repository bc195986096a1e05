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

TEST(Protocol, EachCommandArrives) {
  for (const Command command : {Command::show, Command::stats}) {
    EXPECT_EQ(parse_request(one_line(request_line(command))), command);
    EXPECT_LE(request_line(command).size(), kMaxRequestBytes);
  }
  EXPECT_EQ(request_line(Command::stats), "{\"command\":\"stats\"}\n");
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
  EXPECT_EQ(command.error(), "unknown command; known are show stats");
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

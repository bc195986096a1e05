#include "daemon/stats/text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/stats/sample.hpp"

namespace vethd {
namespace {

namespace json = boost::json;
using Words = std::vector<std::string>;

Words words_of(const std::string& line) {
  std::istringstream in(line);
  return {std::istream_iterator<std::string>(in), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string sample_stats(Detail detail) {
  return stats_text(stats_json(test::sample_report()), detail);
}

/// The line that starts with these words and is no heading, of one word; empty, and a failed
/// test, if there is not exactly one.
std::string row(const std::string& text, const Words& start) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(text)) {
    const Words words = words_of(line);
    if (words.size() >= std::max<std::size_t>(start.size(), 2) &&
        std::equal(start.begin(), start.end(), words.begin()))
      found.push_back(line);
  }
  if (found.size() == 1) return found[0];
  ADD_FAILURE() << found.size() << " rows " << testing::PrintToString(start) << " in:\n" << text;
  return {};
}

/// Where the n-th word of a line ends.
std::size_t end_of_word(const std::string& line, std::size_t n) {
  std::size_t at = 0;
  for (std::size_t i = 0;; ++i) {
    at = line.find_first_not_of(' ', at);
    at = std::min(line.find(' ', at), line.size());
    if (i == n) return at;
  }
}

TEST(StatsText, HasARowForEveryCounterWithBothDirections) {
  const Report report = test::sample_report();
  const std::string text = sample_stats(Detail::numbers);
  std::vector<std::string> rows = {row(text, {"in_flight"}), row(text, {"balanced"})};
  const auto expect = [&](std::string_view name, std::uint64_t a_to_b, std::uint64_t b_to_a) {
    rows.push_back(row(text, {std::string(name)}));
    EXPECT_EQ(words_of(rows.back()),
              (Words{std::string(name), std::to_string(a_to_b), std::to_string(b_to_a)}));
  };
#define X(name, ...) \
  expect(#name, report.pairs[0].a_to_b.counters.name, report.pairs[0].b_to_a.counters.name);
  VETHD_LEDGER(X)
#undef X
#define X(name, ...) \
  expect(#name, report.pairs[0].a_to_b.in_flight.name, report.pairs[0].b_to_a.in_flight.name);
  VETHD_IN_FLIGHT(X)
#undef X
  const DeviceCounters& a = report.pairs[0].a.device;
  const DeviceCounters& b = report.pairs[0].b.device;
  std::vector<std::uint64_t> back;
  for_each_device_counter(b, a, [&](auto, auto, auto, std::uint64_t n) { back.push_back(n); });
  for_each_device_counter(a, b, [&, i = 0U](auto name, auto, auto, std::uint64_t n) mutable {
    expect(name, n, back[i++]);
  });
  for (const std::string& line : rows) {
    EXPECT_EQ(end_of_word(line, 1), end_of_word(rows[0], 1)) << line;
    EXPECT_EQ(end_of_word(line, 2), end_of_word(rows[0], 2)) << line;
  }
}

TEST(StatsText, GoesThroughTheStagesAsAFrameDoes) {
  const std::string text = sample_stats(Detail::numbers);
  std::size_t last = 0;
  for (const char* line :
       {"web: machine small\n", "    devices\n", "    receive\n", "    veth_xmit\n",
        "    backlog\n", "    validate_xmit\n", "    write\n", "    removal\n", "    transmit\n",
        "    buffers\n", "    in flight\n", "softnet:\n", "workers:\n"}) {
    const std::size_t at = text.find(line);
    ASSERT_NE(at, text.npos) << line << text;
    EXPECT_GE(at, last) << line << text;
    last = at;
  }
}

TEST(StatsText, NamesTheEnds) {
  const std::string text = sample_stats(Detail::numbers);
  EXPECT_NE(text.find("    a: veth0 netns red\n"), text.npos) << text;
  EXPECT_NE(text.find("    b: veth1 netns blue\n"), text.npos) << text;
}

TEST(StatsText, HasAColumnForEveryCounterOfACpu) {
  const Report report = test::sample_report();
  const std::string text = sample_stats(Detail::numbers);
  const std::string softnet = row(text, {"machine", "cpu"});
  const std::string worker = row(text, {"cpu"});
  Words softnet_head = {"machine", "cpu"};
  Words worker_head = {"cpu"};
  for_each_softnet({}, [&](auto name, auto, auto, auto) { softnet_head.emplace_back(name); });
  for_each_worker_counter({}, [&](auto name, auto, auto, auto) { worker_head.emplace_back(name); });
  EXPECT_EQ(words_of(softnet), softnet_head);
  EXPECT_EQ(words_of(worker), worker_head);
  for (const std::uint32_t cpu : {0U, 1U}) {
    Words softnet_cells = {"small", std::to_string(cpu)};
    for_each_softnet(report.softnet[cpu].counters, [&](auto, auto, auto, std::uint64_t value) {
      softnet_cells.push_back(std::to_string(value));
    });
    const std::string softnet_row = row(text, softnet_cells);
    for (std::size_t i = 1; i < softnet_head.size(); ++i)
      EXPECT_EQ(end_of_word(softnet_row, i), end_of_word(softnet, i)) << softnet_row;
    Words worker_cells = {std::to_string(cpu)};
    for_each_worker_counter(report.workers[cpu].counters,
                            [&](auto, auto, auto, std::uint64_t value) {
                              worker_cells.push_back(std::to_string(value));
                            });
    const std::string worker_row = row(text, worker_cells);
    for (std::size_t i = 1; i < worker_head.size(); ++i)
      EXPECT_EQ(end_of_word(worker_row, i), end_of_word(worker, i)) << worker_row;
  }
}

TEST(StatsText, ExplainsEveryRowWhenAsked) {
  const std::string brief = sample_stats(Detail::numbers);
  const std::string text = sample_stats(Detail::explained);
  const auto expect = [&](std::string_view name, std::string_view help) {
    EXPECT_EQ(brief.find(help), brief.npos) << name;
    const auto lines = lines_of(text);
    EXPECT_TRUE(std::ranges::any_of(lines, [&](const std::string& line) {
      return words_of(line).front() == name && line.ends_with(help);
    })) << name;
  };
  for_each_counter({}, [&](auto name, auto, auto, auto help, auto) { expect(name, help); });
  for_each_device_counter({}, {}, [&](auto name, auto, auto help, auto) { expect(name, help); });
  for_each_in_flight({}, [&](auto name, auto help, auto) { expect(name, help); });
  for_each_softnet({}, [&](auto name, auto, auto help, auto) { expect(name, help); });
  for_each_worker_counter({}, [&](auto name, auto, auto help, auto) { expect(name, help); });
}

TEST(StatsText, LeavesNoBlanksAtTheEndOfALine) {
  for (const Detail detail : {Detail::numbers, Detail::explained}) {
    for (const std::string& line : lines_of(sample_stats(detail)))
      EXPECT_FALSE(line.empty() || line.back() == ' ') << '"' << line << '"';
  }
}

TEST(ShowText, IsABlockPerPairAndOneForTheDaemon) {
  EXPECT_EQ(
      show_text(show_json(test::sample_report())),
      "web: machine small carrier on coalesce auto\n"
      "    a: veth0 netns red ifindex 7 mtu 1500 state UP\n"
      "       link/ether 02:00:00:00:00:01 driver tap queues 1 offloads csum tso4\n"
      "       features gro off tso on rx_udp_gro_forwarding off\n"
      "    b: veth1 netns blue ifindex 7 mtu 9000 state DOWN\n"
      "       link/ether 02:00:00:00:00:02 driver tap queues 1 offloads none\n"
      "       features gro on tso off rx_udp_gro_forwarding on\n"
      "       xdp fw id 17 object prog.o\n"
      "           native\n"
      "           verdicts aborted 1008 drop 1009 pass 1010 tx 1011 redirect 1012 other 1013\n"
      "vethd 1.2.3: pid 4711 workers 2 memory 64 MiB socket /run/vethd/vethd.sock\n"
      "    io_uring: MSG_RING, DEFER_TASKRUN\n"
      "    missing: single-shot reads instead of multishot\n");
}

TEST(ShowText, SaysWhichModeAnAfXdpEndGotAndWhyNoBetterOne) {
  Report report = test::sample_report();
  EndReport& end = report.pairs[0].b;
  end.driver = "af_xdp";
  end.af_xdp = {.driver = "veth",
                .asked = "auto",
                .mode = "copy",
                .refused = {"zerocopy: not there"},
                .steer = "mac 02:00:00:00:00:09",
                .multi_buffer = true,
                .device_queues = 4};
  const std::string text = show_text(show_json(report));
  EXPECT_NE(text.find("       af_xdp mode copy, asked auto; device driver veth queues 4 steer mac "
                      "02:00:00:00:00:09 multi-buffer\n"
                      "           refused: zerocopy: not there\n"),
            text.npos)
      << text;
}

TEST(ShowText, SaysThatNoPairIsLeft) {
  Report report = test::sample_report();
  report.pairs.clear();
  EXPECT_EQ(show_text(show_json(report)).find("no pairs: all were removed"), 0U);
}

TEST(ShowText, SaysWhyVerdictsAreUnknown) {
  Report report = test::sample_report();
  report.pairs[0].b.xdp->counts = std::unexpected("not ours");
  const std::string text = show_text(show_json(report));
  EXPECT_NE(text.find("           verdicts unknown: not ours\n"), text.npos) << text;
}

TEST(ShowText, SaysWhatIsLostForWantOfAProgramAtTheOtherEnd) {
  Report report = test::sample_report();
  report.pairs[0].b.xdp->counts->tx_errors = 5;
  const std::string text = show_text(show_json(report));
  EXPECT_NE(text.find("           tx_errors 5: the other end has no program"), text.npos) << text;
}

TEST(ShowText, SaysThatAnAfXdpEndWasDetached) {
  Report report = test::sample_report();
  report.pairs[0].a.af_xdp = {.driver = "igb",
                              .asked = "copy",
                              .mode = "copy",
                              .refused = {},
                              .steer = "all",
                              .multi_buffer = false,
                              .attached = false};
  const std::string text = show_text(show_json(report));
  EXPECT_NE(text.find("           detached by force: start vethd again\n"), text.npos) << text;
}

TEST(Text, RefusesAnAnswerOfAnotherShape) {
  EXPECT_ANY_THROW(show_text({}));
  EXPECT_ANY_THROW(stats_text({}, Detail::numbers));
  json::object stats = stats_json(test::sample_report());
  stats["pairs"].as_array()[0].at("a_to_b").as_object().erase("tx_frames");
  EXPECT_ANY_THROW(stats_text(stats, Detail::numbers));
  json::object show = show_json(test::sample_report());
  show["daemon"].as_object()["memory_bytes"] = "much";
  EXPECT_ANY_THROW(show_text(show));
}

TEST(PrettyJson, IsTheSameValueOneMemberPerLine) {
  EXPECT_EQ(pretty_json(json::parse(R"({"a":{"b":[1,"x\n"],"c":[],"d":{}},"e":null})")),
            "{\n"
            "    \"a\": {\n"
            "        \"b\": [\n"
            "            1,\n"
            "            \"x\\n\"\n"
            "        ],\n"
            "        \"c\": [],\n"
            "        \"d\": {}\n"
            "    },\n"
            "    \"e\": null\n"
            "}");
  const json::object stats = stats_json(test::sample_report());
  EXPECT_EQ(json::serialize(json::parse(pretty_json(stats))), json::serialize(stats));
}

}  // namespace
}  // namespace vethd

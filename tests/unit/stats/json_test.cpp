#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "tests/unit/stats/sample.hpp"

namespace vethd {
namespace {

namespace json = boost::json;

/// As the other side of the socket sees it.
json::value sent(const json::object& object) { return json::parse(json::serialize(object)); }

std::uint64_t number(const json::value& object, std::string_view key) {
  return object.at(key).to_number<std::uint64_t>();
}

void expect_direction(const json::value& out, const DirectionReport& way) {
  std::size_t keys = 0;
  for_each_counter(way.counters, [&](std::string_view name, auto, auto, auto, auto value) {
    EXPECT_EQ(number(out, name), value) << name;
    ++keys;
  });
  for_each_in_flight(way.in_flight, [&](std::string_view name, auto, auto value) {
    EXPECT_EQ(number(out.at("in_flight_at"), name), value) << name;
  });
  EXPECT_EQ(number(out, "in_flight"), total(way.in_flight));
  for_each_device_counter({}, {}, [&](std::string_view name, auto, auto, auto) {
    EXPECT_TRUE(out.as_object().contains(name)) << name;
    ++keys;
  });
  EXPECT_EQ(out.as_object().size(), keys + 3);  // in_flight, _at, balanced
}

TEST(StatsJson, HoldsEveryCounterOfTheLedgerInBothDirections) {
  const Report report = test::sample_report();
  const json::value stats = sent(stats_json(report));
  const json::value& pair = stats.at("pairs").as_array().at(0);
  EXPECT_EQ(pair.at("name"), "web");
  EXPECT_EQ(pair.at("machine"), "small");
  expect_direction(pair.at("a_to_b"), report.pairs[0].a_to_b);
  expect_direction(pair.at("b_to_a"), report.pairs[0].b_to_a);
}

TEST(StatsJson, NamesTheEndsAndCountsWhatTheirDevicesLoseWhereItBelongs) {
  const Report report = test::sample_report();
  const json::value stats = sent(stats_json(report));
  const json::value& pair = stats.at("pairs").as_array().at(0);
  EXPECT_EQ(pair.at("a"), (json::object{{"ifname", "veth0"}, {"netns", "red"}}));
  EXPECT_EQ(pair.at("b"), (json::object{{"ifname", "veth1"}, {"netns", "blue"}}));
  const DeviceCounters& a = report.pairs[0].a.device;
  const DeviceCounters& b = report.pairs[0].b.device;
  EXPECT_EQ(number(pair.at("a_to_b"), "tap_ring_dropped"), a.tap_ring_dropped);
  EXPECT_EQ(number(pair.at("b_to_a"), "tap_ring_dropped"), b.tap_ring_dropped);
  EXPECT_EQ(number(pair.at("a_to_b"), "xsk_rx_ring_full"), a.xsk_rx_ring_full);
  EXPECT_EQ(number(pair.at("a_to_b"), "xsk_tx_invalid_descs"), b.xsk_tx_invalid_descs);
}

TEST(StatsJson, SaysWhetherTheLedgerIsBalanced) {
  Report report;
  report.pairs.resize(1);
  DirectionReport& way = report.pairs[0].a_to_b;
  way.counters = {.rx_frames = 10, .drop_cpu_backlog = 3, .tx_frames = 5};
  way.in_flight = {.handover = 2};
  report.pairs[0].b_to_a = way;
  report.pairs[0].b_to_a.counters.drop_removed = 1;
  const json::value stats = sent(stats_json(report));
  const json::value& pair = stats.at("pairs").as_array().at(0);
  EXPECT_EQ(pair.at("a_to_b").at("balanced"), true);
  EXPECT_EQ(pair.at("b_to_a").at("balanced"), false);
}

TEST(StatsJson, HoldsEveryCounterOfEachCpu) {
  const Report report = test::sample_report();
  const json::value stats = sent(stats_json(report));
  for (const std::size_t cpu : {0U, 1U}) {
    const json::value& softnet = stats.at("softnet").as_array().at(cpu);
    EXPECT_EQ(softnet.at("machine"), "small");
    EXPECT_EQ(number(softnet, "cpu"), cpu);
    for_each_softnet(report.softnet[cpu].counters,
                     [&](std::string_view name, auto, auto, auto value) {
                       EXPECT_EQ(number(softnet, name), value) << name;
                     });
    const json::value& worker = stats.at("workers").as_array().at(cpu);
    EXPECT_EQ(number(worker, "cpu"), cpu);
    for_each_worker_counter(report.workers[cpu].counters,
                            [&](std::string_view name, auto, auto, auto value) {
                              EXPECT_EQ(number(worker, name), value) << name;
                            });
  }
}

TEST(StatsJson, KeepsNumbersOfSixtyFourBits) {
  Report report;
  report.pairs.resize(1);
  report.pairs[0].a_to_b.counters.rx_bytes = UINT64_MAX;
  const json::value stats = sent(stats_json(report));
  EXPECT_EQ(number(stats.at("pairs").as_array().at(0).at("a_to_b"), "rx_bytes"), UINT64_MAX);
}

TEST(ShowJson, IsTheAgreedForm) {
  const json::value expected = json::parse(R"({
    "pairs": [{
      "name": "web", "machine": "small", "carrier": true, "coalesce": "auto",
      "a": {"ifname": "veth0", "netns": "red", "ifindex": 7, "mtu": 1500,
            "mac": "02:00:00:00:00:01", "up": true, "driver": "tap", "queues": 1,
            "offloads": ["csum", "tso4"],
            "features": {"gro": false, "tso": true, "rx_udp_gro_forwarding": false},
            "xdp": null, "af_xdp": null},
      "b": {"ifname": "veth1", "netns": "blue", "ifindex": 7, "mtu": 9000,
            "mac": "02:00:00:00:00:02", "up": false, "driver": "tap", "queues": 1,
            "offloads": [],
            "features": {"gro": true, "tso": false, "rx_udp_gro_forwarding": true},
            "xdp": {"object": "prog.o", "program": "fw", "id": 17, "mode_note": "native",
                    "verdicts": {"aborted": 1008, "drop": 1009, "pass": 1010, "tx": 1011,
                                 "redirect": 1012, "other": 1013},
                    "tx_errors": 0},
            "af_xdp": null}
    }],
    "daemon": {
      "version": "1.2.3", "pid": 4711, "workers": 2, "memory_bytes": 67108864,
      "control_socket": "/run/vethd/vethd.sock",
      "io_uring": {"in_use": ["MSG_RING", "DEFER_TASKRUN"],
                   "missing": ["single-shot reads instead of multishot"]}
    }})");
  EXPECT_EQ(sent(show_json(test::sample_report())), expected);
}

TEST(ShowJson, SaysWhatAnAfXdpEndAskedForAndGot) {
  Report report = test::sample_report();
  report.pairs[0].a.af_xdp = {.driver = "igb",
                              .asked = "auto",
                              .mode = "copy",
                              .refused = {"zerocopy: why not"},
                              .steer = "all",
                              .multi_buffer = false,
                              .device_queues = 2};
  const json::value show = sent(show_json(report));
  EXPECT_EQ(show.at("pairs").at(0).at("a").at("af_xdp"), json::parse(R"({
    "device_driver": "igb", "mode_asked": "auto", "mode": "copy", "refused": ["zerocopy: why not"],
    "steer": "all", "multi_buffer": false, "attached": true, "device_queues": 2})"));
}

TEST(ShowJson, SaysWhyVerdictsAreUnknown) {
  Report report = test::sample_report();
  report.pairs[0].b.xdp->counts = std::unexpected("not ours");
  const json::value show = sent(show_json(report));
  const json::value& xdp = show.at("pairs").as_array().at(0).at("b").at("xdp");
  EXPECT_EQ(xdp.at("verdicts"), "unknown");
  EXPECT_EQ(xdp.at("verdicts_reason"), "not ours");
}

TEST(ShowJson, HasNoObjectOfAProgramThatSomebodyElseAttached) {
  Report report = test::sample_report();
  report.pairs[0].b.xdp->object = {};
  const json::value show = sent(show_json(report));
  EXPECT_TRUE(show.at("pairs").at(0).at("b").at("xdp").at("object").is_null());
}

TEST(ShowJson, IsAnEmptyListWithoutPairs) {
  const Report nothing;
  EXPECT_EQ(sent(show_json(nothing)).at("pairs"), json::array());
  EXPECT_EQ(sent(stats_json(nothing)).at("pairs"), json::array());
}

// Whoever owns a namespace names its devices; dev_valid_name() refuses only '/', ':' and blanks.
TEST(Json, StaysValidWhateverADeviceIsCalled) {
  Report report;
  report.pairs.resize(1);
  report.pairs[0].a.ifname = "e\xff\x1b[2J\"\\";
  report.pairs[0].a.netns = "r\xc3\xb6 t\n";
  for (const json::value& out : {sent(show_json(report)), sent(stats_json(report))}) {
    const json::value& end = out.at("pairs").as_array().at(0).at("a");
    EXPECT_EQ(end.at("ifname"), "e\\xff\\x1b[2J\"\\");
    EXPECT_EQ(end.at("netns"), "r\\xc3\\xb6 t\\x0a");
  }
}

}  // namespace
}  // namespace vethd

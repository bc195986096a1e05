// The counter lists: whatever is declared once shows in every walk, and the ledger adds up.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "daemon/stats/counters.hpp"

namespace vethd {
namespace {

/// Every counter another value, by position in memory: all are std::uint64_t.
template <class T>
T numbered() {
  T counters;
  auto* const values = reinterpret_cast<std::uint64_t*>(&counters);
  for (std::size_t i = 0; i < sizeof(T) / sizeof(std::uint64_t); ++i) values[i] = i + 1;
  return counters;
}

/// Collects what a walk shows: `visit` takes name first and value last.
struct Walk {
  std::set<std::string> names;
  std::set<std::uint64_t> values;

  template <class... Rest>
  void operator()(std::string_view name, Rest... rest) {
    names.emplace(name);
    values.insert(static_cast<std::uint64_t>(std::get<sizeof...(rest) - 1>(std::tuple(rest...))));
  }
  [[nodiscard]] bool saw_all(std::size_t count) const {
    return names.size() == count && values.size() == count && *values.rbegin() == count;
  }
};

template <class T>
constexpr std::size_t kCount = sizeof(T) / sizeof(std::uint64_t);

TEST(Counters, EachShowsOnceInTheWalk) {
  Walk ledger;
  for_each_counter(numbered<Counters>(), ledger);
  EXPECT_TRUE(ledger.saw_all(kCount<Counters>));
  Walk in_flight;
  for_each_in_flight(numbered<InFlight>(), in_flight);
  EXPECT_TRUE(in_flight.saw_all(kCount<InFlight>));
  Walk softnet;
  for_each_softnet(numbered<SoftnetCounters>(), softnet);
  EXPECT_TRUE(softnet.saw_all(kCount<SoftnetCounters>));
  Walk worker;
  for_each_worker_counter(numbered<WorkerCounters>(), worker);
  EXPECT_TRUE(worker.saw_all(kCount<WorkerCounters>));
}

TEST(Counters, EveryDropIsNamedSoAndExplained) {
  for_each_counter(Counters{}, [](std::string_view name, RowKind kind, std::string_view unit,
                                  std::string_view help, std::uint64_t) {
    EXPECT_EQ(name.starts_with("drop_"), kind == RowKind::drop) << name;
    EXPECT_FALSE(unit.empty()) << name;
    EXPECT_FALSE(help.empty()) << name;
  });
}

TEST(Counters, AddEveryField) {
  Counters sum = numbered<Counters>();
  sum += numbered<Counters>();
  for_each_counter(sum, [row = std::uint64_t{0}](auto, auto, auto, auto, std::uint64_t n) mutable {
    EXPECT_EQ(n, 2 * ++row);
  });
  InFlight in_flight = numbered<InFlight>();
  in_flight += numbered<InFlight>();
  EXPECT_EQ(total(in_flight), kCount<InFlight> * (kCount<InFlight> + 1));
}

TEST(Ledger, BalancesWhenEachFrameIsSomewhere) {
  EXPECT_TRUE(balanced({}, {}));
  EXPECT_TRUE(balanced({.rx_frames = 3, .drop_length = 1, .tx_frames = 1}, {.handover = 1}));
  EXPECT_FALSE(balanced({.rx_frames = 3, .drop_length = 1, .tx_frames = 1}, {}));
  EXPECT_FALSE(balanced({.rx_frames = 1, .tx_frames = 2}, {}));
}

TEST(Ledger, CountsEveryDropAndEveryPlaceAndNothingElse) {
  std::uint64_t accounted = 0;
  Counters counters = numbered<Counters>();
  for_each_counter(counters, [&](auto, RowKind kind, auto, auto, std::uint64_t n) {
    if (kind == RowKind::drop || kind == RowKind::left) accounted += n;
  });
  counters.split_frames = 0;  // enters, too
  counters.rx_frames = accounted + total(numbered<InFlight>());
  EXPECT_TRUE(balanced(counters, numbered<InFlight>()));
  ++counters.rx_frames;
  EXPECT_FALSE(balanced(counters, numbered<InFlight>()));
}

}  // namespace
}  // namespace vethd

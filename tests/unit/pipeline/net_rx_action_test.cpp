// The softirq over several NAPIs: who is polled when, and when it stops.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/unit/pipeline/softnet_fixture.hpp"

namespace vethd {
namespace {

using std::chrono::milliseconds;

constexpr std::int32_t kEndless = 1'000'000;

class NetRxAction : public test::Softnet {
 protected:
  /// Has some work, and writes down when it is polled.
  class Worked final : public Napi {
   public:
    Worked(NetRxAction& test, std::int32_t work) : left(work), test_(test) {}
    std::int32_t poll(std::int32_t quota, RxContext& /*context*/) override {
      test_.polled_.push_back(this);
      test_.clock_.pass(takes);
      if (while_polled) while_polled();
      const std::int32_t done = std::min(quota, left);
      left -= done;
      if (done < quota) clear_sched();
      return done;
    }
    void flush_gro(RxContext& /*context*/) override { ++flushes; }

    std::int32_t left;
    int flushes = 0;
    std::chrono::nanoseconds takes{0};
    std::function<void()> while_polled;

   private:
    NetRxAction& test_;
  };

  void schedule(Worked& napi) {
    if (napi.schedule_prep()) here().napi_schedule(napi);
  }
  /// One run; whom it polled, in order.
  std::vector<const Napi*> polled_in_a_run() {
    polled_.clear();
    run(here());
    return polled_;
  }
  std::uint64_t squeezes() { return here().counters().time_squeeze; }

  std::vector<const Napi*> polled_;
};

using Order = std::vector<const Napi*>;

TEST_F(NetRxAction, PollsEachOnceInTheOrderTheyWereScheduled) {
  build({});
  Worked a(*this, 10);
  Worked b(*this, 63);
  Worked c(*this, 0);
  for (Worked* napi : {&b, &c, &a}) schedule(*napi);
  EXPECT_EQ(polled_in_a_run(), (Order{&b, &c, &a}));
  EXPECT_FALSE(here().net_rx_pending());
  EXPECT_EQ(squeezes(), 0U);
}

TEST_F(NetRxAction, PutsWhoeverUsedItsWholeWeightOffToTheNextRun) {
  build({});
  Worked a(*this, 100);
  Worked b(*this, 10);
  schedule(a);
  schedule(b);
  EXPECT_EQ(polled_in_a_run(), (Order{&a, &b}));
  EXPECT_EQ(a.left, 36);
  EXPECT_EQ(a.flushes, 1);
  EXPECT_EQ(b.flushes, 0) << "that is for whole weights; a completion flushes by itself";
  EXPECT_TRUE(here().net_rx_pending());
  EXPECT_EQ(polled_in_a_run(), (Order{&a}));
  EXPECT_FALSE(here().net_rx_pending());
}

TEST_F(NetRxAction, EndsOnTheFifthWholeWeightOfABudgetOf300) {
  build({.netdev_budget = 300});
  std::vector<std::unique_ptr<Worked>> napis;
  for (int i = 0; i < 6; ++i) schedule(*napis.emplace_back(std::make_unique<Worked>(*this, 64)));
  EXPECT_EQ(polled_in_a_run().size(), 5U);
  EXPECT_EQ(squeezes(), 1U);
  EXPECT_EQ(polled_in_a_run().front(), napis[5].get()) << "the one that was not reached is first";
  EXPECT_EQ(squeezes(), 1U) << "the five others find nothing";
}

TEST_F(NetRxAction, CountsNoTimeSqueezeForFourWholeWeights) {
  build({.netdev_budget = 300});
  std::vector<std::unique_ptr<Worked>> napis;
  for (int i = 0; i < 4; ++i) schedule(*napis.emplace_back(std::make_unique<Worked>(*this, 64)));
  EXPECT_EQ(polled_in_a_run().size(), 4U);
  EXPECT_EQ(squeezes(), 0U);
}

TEST_F(NetRxAction, CountsTimeSqueezeEvenIfTheLastPollLeftNothing) {
  build({.netdev_budget = 10});
  Worked a(*this, 10);
  schedule(a);
  run(here());
  EXPECT_FALSE(here().net_rx_pending());
  EXPECT_EQ(squeezes(), 1U);
}

TEST_F(NetRxAction, EndsWhenItsTimeIsUpAndLooksAfterEachPoll) {
  build({.netdev_budget_usecs = milliseconds(8)});  // two jiffies
  Worked a(*this, 1);
  Worked b(*this, 1);
  Worked c(*this, 1);
  for (Worked* napi : {&a, &b, &c}) {
    napi->takes = milliseconds(4);
    schedule(*napi);
  }
  EXPECT_EQ(polled_in_a_run(), (Order{&a, &b}));
  EXPECT_EQ(squeezes(), 1U);
  EXPECT_EQ(polled_in_a_run(), (Order{&c}));
  EXPECT_EQ(squeezes(), 1U);
}

TEST_F(NetRxAction, GoesOnWithTheRestThenArrivalsThenWhoIsToBePolledAgain) {
  for (const Rules* rules : kAllRules) {
    build({.netdev_budget = 128}, *rules);
    Worked a(*this, 100);
    Worked b(*this, 64);
    Worked rest(*this, 1);
    Worked arrival(*this, 1);
    for (Worked* napi : {&a, &b, &rest}) schedule(*napi);
    b.while_polled = [&] { schedule(arrival); };
    EXPECT_EQ(polled_in_a_run(), (Order{&a, &b}));
    b.while_polled = nullptr;
    EXPECT_EQ(polled_in_a_run(), (Order{&rest, &arrival, &a, &b})) << rules->kernel;
    EXPECT_FALSE(here().net_rx_pending());
  }
}

TEST_F(NetRxAction, PollsWhatIsScheduledMeanwhileInTheSameRunFrom612On) {
  for (const Rules* rules : kAllRules) {
    build({}, *rules);
    Worked a(*this, 1);
    Worked b(*this, 1);
    Worked c(*this, 1);
    a.while_polled = [&] { schedule(b); };
    b.while_polled = [&] { schedule(c); };
    schedule(a);
    here().do_softirq(context_);
    const bool same_run = rules == &kRules612 || rules == &kRules618;
    EXPECT_EQ(here().counters().softirqs, same_run ? 1U : 3U) << rules->kernel;
    EXPECT_EQ(polled_, (Order{&a, &b, &c}));
    polled_.clear();
  }
}

TEST_F(NetRxAction, KeepsBudgetAndTimeWhenTheListIsRefilled) {
  build({.netdev_budget = 20}, kRules618);
  Worked a(*this, 15);
  Worked b(*this, 15);
  Worked c(*this, 15);
  a.while_polled = [&] { schedule(b); };
  b.while_polled = [&] { schedule(c); };
  schedule(a);
  EXPECT_EQ(polled_in_a_run(), (Order{&a, &b}));
  EXPECT_EQ(squeezes(), 1U);
}

TEST_F(NetRxAction, LeavesARefilledListForTheNextRunWhenSomethingIsToBePolledAgain) {
  build({}, kRules618);
  Worked a(*this, 65);
  Worked b(*this, 1);
  a.while_polled = [&] { schedule(b); };
  schedule(a);
  EXPECT_EQ(polled_in_a_run(), (Order{&a}));
  a.while_polled = nullptr;
  EXPECT_EQ(polled_in_a_run(), (Order{&b, &a}));
}

TEST_F(NetRxAction, NeverPollsWhatHasBeenForgotten) {
  build({});
  Worked a(*this, 1);
  Worked b(*this, 1);
  Worked c(*this, 1);
  for (Worked* napi : {&a, &b, &c}) schedule(*napi);
  here().napi_forget(b);
  EXPECT_EQ(polled_in_a_run(), (Order{&a, &c}));
}

// --- do_softirq(), ksoftirqd ------------------------------------------------------------------

class Softirq : public NetRxAction {
 protected:
  std::uint64_t runs() { return here().counters().softirqs; }
  std::uint64_t wakeups() { return here().counters().ksoftirqd_wakeups; }
};

TEST_F(Softirq, DoesNothingUnlessItIsRaised) {
  build({});
  here().do_softirq(context_);
  EXPECT_EQ(runs(), 0U);
}

TEST_F(Softirq, RunsTenTimesAndThenWakesKsoftirqd) {
  build({});
  fill(1001);
  here().do_softirq(context_);
  EXPECT_EQ(runs(), 10U);
  EXPECT_EQ(delivered_.size(), 640U);
  EXPECT_EQ(wakeups(), 1U);
  EXPECT_TRUE(here().ksoftirqd_running());
}

TEST_F(Softirq, WakesNobodyWhenTheTenthRunFinishes) {
  build({});
  fill(9 * 64 + 63);
  here().do_softirq(context_);
  EXPECT_EQ(runs(), 10U);
  EXPECT_EQ(wakeups(), 0U);
  EXPECT_FALSE(here().ksoftirqd_running());
}

TEST_F(Softirq, EndsAfterTwoMillisecondsInJiffiesRoundedUp) {
  // Polls of 1 ms: 2 ms are one jiffy of 10 or 4 ms, or two of 1 ms.
  for (const auto& [hz, expected] : {std::pair{100U, 10U}, {250U, 4U}, {1000U, 2U}}) {
    build({.netdev_budget_usecs = std::chrono::seconds(1)}, kRules618, hz);
    clock_ = {};
    Worked a(*this, kEndless);
    a.takes = milliseconds(1);
    schedule(a);
    here().do_softirq(context_);
    EXPECT_EQ(runs(), expected) << hz;
    EXPECT_EQ(wakeups(), 1U);
  }
}

TEST_F(Softirq, LeavesEverythingToARunningKsoftirqdUpTo61) {
  for (const Rules* rules : kAllRules) {
    SCOPED_TRACE(rules->kernel);
    build({}, *rules);
    Worked a(*this, kEndless);
    schedule(a);
    here().do_softirq(context_);
    ASSERT_EQ(runs(), 10U);
    here().do_softirq(context_);
    const bool takes_over = rules == &kRules414 || rules == &kRules54 || rules == &kRules61;
    EXPECT_EQ(runs(), takes_over ? 10U : 20U);
    EXPECT_EQ(wakeups(), 1U) << "it runs already";
    here().run_ksoftirqd(context_);
    EXPECT_EQ(runs(), takes_over ? 20U : 30U) << "it takes turns of ten runs, too";
    EXPECT_TRUE(here().ksoftirqd_running());

    a.left = 0;
    here().run_ksoftirqd(context_);
    EXPECT_FALSE(here().ksoftirqd_running());
    EXPECT_EQ(wakeups(), 1U);
    schedule(a);
    here().do_softirq(context_);
    EXPECT_FALSE(here().net_rx_pending()) << "inline again";
  }
}

TEST_F(Softirq, LetsKsoftirqdSleepWhenSomebodyElseDidTheWork) {
  build({}, kRules618);
  Worked a(*this, 700);
  schedule(a);
  here().do_softirq(context_);
  here().do_softirq(context_);
  EXPECT_TRUE(here().ksoftirqd_running());
  here().run_ksoftirqd(context_);
  EXPECT_FALSE(here().ksoftirqd_running());
}

}  // namespace
}  // namespace vethd

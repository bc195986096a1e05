// Cost of each stage of the path, and of all together: google-benchmark's options, and
//
//   stage --batches=N    N batches of each, no more and no fewer: for counting instructions
//
// Times are of a batch of kBatch frames.
#include <benchmark/benchmark.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "bench/stage/subject.hpp"

namespace vethd::bench {
namespace {

void measure(benchmark::State& state, const Entry& entry) {
  const auto subject = entry.make();
  for ([[maybe_unused]] const auto once : state) {
    subject->prepare();
    const auto begin = std::chrono::steady_clock::now();
    measured(*subject);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    state.SetIterationTime(took.count());
    subject->clean_up();
  }
  if (entry.looped) state.SetLabel("looped");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kBatch));
}

/// Takes --batches=N out of the arguments. 0: not there. -1: not a number above 0.
int take_batches(int& argc, char** argv) {
  constexpr std::string_view kOption = "--batches=";
  int batches = 0;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kOption)) {
      argv[kept++] = argv[i];
      continue;
    }
    const std::string_view number = argument.substr(kOption.size());
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), batches);
    if (error != std::errc{} || end != number.data() + number.size() || batches <= 0) return -1;
  }
  argv[argc = kept] = nullptr;
  return batches;
}

int run(int argc, char** argv) {
  const int batches = take_batches(argc, argv);
  if (batches < 0) {
    std::fputs("stage: --batches wants a number above 0\n", stderr);
    return 2;
  }
  for (const Entry& entry : subjects()) {
    auto* const registered =
        benchmark::RegisterBenchmark(std::string(entry.name).c_str(),
                                     [&entry](benchmark::State& state) { measure(state, entry); });
    registered->UseManualTime();
    if (batches > 0) registered->Iterations(batches);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const std::size_t ran = benchmark::RunSpecifiedBenchmarks();
  if (batches > 0) std::printf("%s each_stage_runs\n", ran == subjects().size() ? "PASS" : "FAIL");
  return 0;
}

}  // namespace
}  // namespace vethd::bench

int main(int argc, char** argv) { return vethd::bench::run(argc, argv); }

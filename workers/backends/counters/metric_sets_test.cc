// The metric sets against CUPTI's own lists of what chips have; needs CUPTI, but no GPU.
#include "workers/backends/counters/metric_sets.h"

#include "tests/catch.h"
#include "workers/inject/metric_plan.h"

namespace sextant::backends::counters {
namespace {

const inject::CuptiApi& Cupti() {
  static const inject::CuptiApi* const api = [] {
    auto* const loaded = new inject::CuptiApi();
    std::string why;
    INFO(why);
    REQUIRE(inject::LoadCupti(SEXTANT_CUPTI, loaded, &why));
    return loaded;
  }();
  return *api;
}

size_t Passes(const std::string& chip, const std::vector<std::string>& metrics) {
  inject::MetricPlan plan(Cupti());
  inject::Problem problem;
  const bool made =
      plan.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, chip, {}, metrics, &problem);
  INFO(problem.sentence);
  REQUIRE(made);
  return plan.passes();
}

TEST_CASE("Hopper has every metric of every set") {
  for (const std::string& set : MetricSetNames()) {
    INFO(set);
    CHECK(Passes("GH100", MetricSet(set)) <= 10);
  }
}

TEST_CASE("the questions asked most need one hardware pass on Hopper") {
  CHECK(Passes("GH100", MetricSet("ipc")) == 1);
  CHECK(Passes("GH100", MetricSet("occupancy")) <= 2);
}

TEST_CASE("other chips have what `ipc` asks for") {
  for (const char* chip : {"GA100", "GA102", "AD102", "GB100"}) {
    INFO(chip);
    CHECK(Passes(chip, MetricSet("ipc")) <= 2);
  }
}

TEST_CASE("an unknown metric is named with its neighbours") {
  inject::MetricPlan plan(Cupti());
  inject::Problem problem;
  REQUIRE_FALSE(plan.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, "GH100", {},
                          {"smsp__inst_exectued.sum"}, &problem));
  CHECK(problem.kind == inject::kUnknownMetric);
  CHECK_THAT(problem.sentence, Catch::Contains("smsp__inst_executed"));
}

TEST_CASE("a name without its rollup says what is missing") {
  inject::MetricPlan plan(Cupti());
  inject::Problem problem;
  REQUIRE_FALSE(plan.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, "GH100", {},
                          {"smsp__inst_executed"}, &problem));
  CHECK_THAT(problem.sentence, Catch::Contains("\"smsp__inst_executed.sum\""));
}

TEST_CASE("an unknown chip is refused") {
  inject::MetricPlan plan(Cupti());
  inject::Problem problem;
  CHECK_FALSE(plan.Make(CUPTI_PROFILER_TYPE_RANGE_PROFILER, "GX999", {},
                        {"smsp__inst_executed.sum"}, &problem));
}

TEST_CASE("metrics are split so that each part fits into one hardware pass") {
  std::vector<std::vector<std::string>> parts;
  inject::Problem problem;
  const std::vector<std::string> metrics = MetricSet("stalls");
  REQUIRE(inject::SplitIntoPasses(Cupti(), CUPTI_PROFILER_TYPE_RANGE_PROFILER, "GH100", {},
                                  metrics, &parts, &problem));
  // Replay may spread one metric over passes, a run of the program may not.
  CHECK(parts.size() >= Passes("GH100", metrics));
  CHECK(parts.size() <= Passes("GH100", metrics) + 3);
  size_t count = 0;
  for (const auto& part : parts) {
    CHECK(Passes("GH100", part) == 1);
    count += part.size();
  }
  CHECK(count == metrics.size());
  REQUIRE_FALSE(inject::SplitIntoPasses(Cupti(), CUPTI_PROFILER_TYPE_RANGE_PROFILER, "GH100", {},
                                        {"sm__throughput.avg.pct_of_peak_sustained_elapsed"}, &parts,
                                        &problem));
  CHECK_THAT(problem.sentence, Catch::Contains("hardware passes"));
}

TEST_CASE("names are near when few of their parts differ") {
  CHECK(inject::NameDistance("sm__cycles_active", "sm__cycles_active") == 0);
  CHECK(inject::NameDistance("sm__cycle_active", "sm__cycles_active") <
        inject::NameDistance("sm__cycle_active", "dram__bytes_read"));
}

}  // namespace
}  // namespace sextant::backends::counters

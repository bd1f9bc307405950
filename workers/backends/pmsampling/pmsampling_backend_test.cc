// The pmsampling backend on what real programs left on a GPU (tests/programs/gpu/truth_counters.cu).
#include "workers/backends/pmsampling/pmsampling_backend.h"

#include <cstring>
#include <string>

#include "tests/catch.h"
#include "workers/backends/pmsampling/importer.h"
#include "workers/backends/injected/testing/under_test.h"

namespace sextant::backends {
namespace {

const injected::UnderTest test(std::make_unique<PmSamplingBackend>(Site{}),
                               "workers/backends/pmsampling/testdata");

TEST_CASE("samples over time stand beside the launches that ran then") {
  const auto collected = test.CollectRecording("truth");
  REQUIRE(collected.ok());
  REQUIRE(collected->tables.size() == 2);
  const v1::DataTable& samples = collected->tables[0];
  const v1::DataTable& launches = collected->tables[1];
  CHECK(launches.rows() == 35);
  // While copy_bytes runs, memory is written; before the first launch, nothing is.
  const double first = table::NumberAt(*table::Find(launches, "start_ns"), 0);
  double idle = 0, busy = 0;
  for (uint64_t row = 0; row < samples.rows(); ++row) {
    if (table::TextAt(*table::Find(samples, "metric"), row) != "dram__bytes_write.sum") continue;
    const double start = table::NumberAt(*table::Find(samples, "start_ns"), row);
    const double end = table::NumberAt(*table::Find(samples, "end_ns"), row);
    const double bytes = table::NumberAt(*table::Find(samples, "value"), row);
    for (uint64_t launch = 0; launch < launches.rows(); ++launch) {
      if (table::TextAt(*table::Find(launches, "kernel"), launch).substr(0, 10) != "copy_bytes") {
        continue;
      }
      if (start >= table::NumberAt(*table::Find(launches, "start_ns"), launch) &&
          end <= table::NumberAt(*table::Find(launches, "end_ns"), launch)) {
        busy += bytes;
      }
    }
    if (end < first && start > first - 400'000) idle += bytes;
  }
  // Five copies of 1 GiB; samples at their edges are not counted.
  CHECK(busy > 4.0 * (1u << 30));
  CHECK(busy < 5.2 * (1u << 30));
  CHECK(idle < 0.001 * busy);
}

TEST_CASE("the samples and launches of a pass") { test.CheckRecording("truth"); }

TEST_CASE("a sample that runs backwards is left out alone") {
  pmsampling::Importer importer(0);
  injected::Process process;
  process.texts = {"", "dram__bytes_read.sum", "byte"};
  const inject::MetricRecord metric = {0, 1, 2, 0};
  importer.Take(process, 0, uint32_t{inject::kPmSamplingFrames} + inject::kMetricFrame,
                {reinterpret_cast<const char*>(&metric), sizeof(metric)});
  std::string payload;
  for (const uint64_t end_ns : {110, 90, 130}) {
    const inject::SampleRecord record = {100, end_ns, 1, 0};
    const double value = static_cast<double>(end_ns);
    payload.append(reinterpret_cast<const char*>(&record), sizeof(record));
    payload.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  importer.Take(process, 0, uint32_t{inject::kPmSamplingFrames} + inject::kLaunchFrame, payload);
  Collected collected;
  REQUIRE(importer.Finish(&collected));
  CHECK(collected.events == 2);
  REQUIRE(collected.notes.size() == 1);
  CHECK_THAT(collected.notes[0], Catch::StartsWith("1 samples were left out"));
}

TEST_CASE("metrics that need several hardware passes cannot be sampled over time") {
  const auto collected = test.CollectRecording("several-passes");
  REQUIRE(collected.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(collected.status().message()), Catch::Contains("2 hardware passes"));
}

TEST_CASE("options of pmsampling are checked before anything runs") {
  CHECK_THAT(test.Refusal({{"interval_us", "1"}}), Catch::Contains("from 2 to"));
  CHECK_THAT(test.Refusal({{"interval", "9"}}), Catch::Contains("interval_us, metrics"));
  const auto plan = test.Prepare({{"interval_us", "50"}, {"metrics", "dram__bytes_read.sum"}});
  REQUIRE(plan.ok());
  CHECK(plan->env.at("SEXTANT_INJECT_OPTIONS") ==
        "activity.light=1;pmsampling.interval_ns=50000;pmsampling.metrics=dram__bytes_read.sum");
}

TEST_CASE("pmsampling: damaged frames are left out, whatever bytes they hold") {
  const injected::Process process;
  std::string payload;
  for (uint32_t seed = 1; seed < 4000; ++seed) {
    pmsampling::Importer importer(0);
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    for (int frame = 0; frame < 6; ++frame) {
      payload.clear();
      for (uint32_t i = 0; i < random % 200; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        payload.push_back(static_cast<char>(random % 3 == 0 ? random >> 8 : random % 4));
      }
      importer.Take(process, 0, inject::kPmSamplingFrames + frame, payload);
    }
    Collected collected;
    if (importer.Finish(&collected)) {
      for (const v1::DataTable& table : collected.tables) CHECK(table::Check(table).ok());
    }
  }
}

}  // namespace
}  // namespace sextant::backends

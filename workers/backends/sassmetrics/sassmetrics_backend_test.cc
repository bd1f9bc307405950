// The sassmetrics backend on what real programs left on a GPU (tests/programs/gpu/truth_counters.cu).
#include "workers/backends/sassmetrics/sassmetrics_backend.h"

#include <cstring>
#include <string>

#include "tests/catch.h"
#include "workers/backends/sassmetrics/importer.h"
#include "workers/backends/injected/testing/recording.h"

namespace sextant::backends {
namespace {

const std::filesystem::path kTestData = "workers/backends/sassmetrics/testdata";

SassMetricsBackend Backend() { return SassMetricsBackend(Site{}); }

absl::StatusOr<Collected> CollectRecording(const std::string& name, const std::string& kernels = "") {
  v1::Assignment assignment;
  assignment.mutable_workload()->set_kernels(kernels);
  return Backend().Collect(injected::RecordedRun(kTestData / name, &assignment));
}

void CheckRecording(const std::string& name, const std::string& kernels = "") {
  injected::CheckGolden(kTestData / name, injected::Describe(CollectRecording(name, kernels), 40));
}

absl::StatusOr<LaunchPlan> Prepare(const std::map<std::string, std::string>& options) {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("program");
  for (const auto& [name, value] : options) {
    (*assignment.mutable_spec()->mutable_options())[name] = value;
  }
  return Backend().Prepare(assignment);
}

std::string Refusal(const std::map<std::string, std::string>& options) {
  const auto plan = Prepare(options);
  REQUIRE(plan.status().code() == absl::StatusCode::kInvalidArgument);
  return std::string(plan.status().message());
}

// The value of `counter` of `kernel`.
double Of(const Collected& collected, const std::string& kernel, const std::string& counter) {
  for (const v1::Counter& one : collected.counters) {
    if (one.name() == counter && one.kernel().find(kernel) == 0) return one.value();
  }
  FAIL("no counter " << counter << " of " << kernel);
  return 0;
}

TEST_CASE("instruction counts of kernels whose work is known are exact") {
  const auto collected = CollectRecording("truth");
  REQUIRE(collected.ok());
  const v1::DataTable& table = collected->tables[0];
  std::map<std::pair<std::string, std::string>, uint64_t> executed, threads, off;
  for (uint64_t row = 0; row < table.rows(); ++row) {
    const std::pair key(std::string(table::TextAt(*table::Find(table, "kernel"), row)),
                        std::string(table::TextAt(*table::Find(table, "opcode"), row)));
    executed[key] += table::NumberAt(*table::Find(table, "executed"), row);
    threads[key] += table::NumberAt(*table::Find(table, "threads"), row);
    off[key] += table::NumberAt(*table::Find(table, "predicated_off"), row);
    CHECK(!key.second.empty());
  }
  const std::pair<std::string, std::string> chain("ffma_chain(float*, int)", "FFMA");
  CHECK(executed[chain] == 264ull * 8 * 1000 * 64);
  CHECK(threads[chain] == 264ull * 256 * 1000 * 64);
  CHECK(off[chain] == 0);
  const std::pair<std::string, std::string> half("half_predicated(float*, int)", "FFMA");
  CHECK(threads[half] == 132ull * 128 * 1000);
  CHECK(off[half] == threads[half] / 2);
  for (const char* opcode : {"STL", "LDL"}) {
    CHECK(executed[{"spilled(float const*, float*)", opcode}] == 36ull * 264 * 32);
  }
  CHECK(Of(*collected, "ffma_chain", "mix_fp32") > 90);
}

TEST_CASE("the instructions of all kernels") { CheckRecording("truth"); }

TEST_CASE("options of sassmetrics are checked before anything runs") {
  CHECK_THAT(Refusal({{"per", "warp"}}), Catch::Contains("kernel, launch"));
  CHECK_THAT(Refusal({{"launches", "2"}}), Catch::Contains("per=launch"));
  CHECK(Prepare({{"per", "launch"}, {"launches", "2"}}).ok());
}

TEST_CASE("sassmetrics: damaged frames are left out, whatever bytes they hold") {
  const injected::Process process;
  std::string payload;
  for (uint32_t seed = 1; seed < 4000; ++seed) {
    sassmetrics::Importer importer("");
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    for (int frame = 0; frame < 6; ++frame) {
      payload.clear();
      for (uint32_t i = 0; i < random % 200; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        payload.push_back(static_cast<char>(random % 3 == 0 ? random >> 8 : random % 4));
      }
      importer.Take(process, 0, inject::kSassMetricsFrames + frame, payload);
    }
    Collected collected;
    if (importer.Finish(&collected)) {
      for (const v1::DataTable& table : collected.tables) CHECK(table::Check(table).ok());
    }
  }
}

}  // namespace
}  // namespace sextant::backends

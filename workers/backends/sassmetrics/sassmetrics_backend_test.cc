// The sassmetrics backend on what real programs left on a GPU (tests/programs/gpu/truth_counters.cu).
#include "workers/backends/sassmetrics/sassmetrics_backend.h"

#include <cstring>
#include <string>

#include "tests/catch.h"
#include "workers/backends/sassmetrics/importer.h"
#include "workers/backends/injected/testing/under_test.h"

namespace sextant::backends {
namespace {

const injected::UnderTest test(std::make_unique<SassMetricsBackend>(Site{}),
                               "workers/backends/sassmetrics/testdata");

TEST_CASE("instruction counts of kernels whose work is known are exact") {
  const auto collected = test.CollectRecording("truth");
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
  CHECK(injected::CounterOf(*collected, "ffma_chain", "mix_fp32") > 90);
}

TEST_CASE("the instructions of all kernels") { test.CheckRecording("truth"); }

// examples/gemm_ws with 2048 cubed and 5 launches, on an H100: 31 µs a launch without the patches.
TEST_CASE("launches of patched kernels are timed by events") {
  const auto collected = test.CollectRecording("timed", "gemm_ws");
  REQUIRE(collected.ok());
  REQUIRE(collected->tables.size() == 2);
  const v1::DataTable& table = collected->tables[1];
  CHECK(table.name() == "launches");
  REQUIRE(table.rows() == 5);
  for (uint64_t row = 0; row < table.rows(); ++row) {
    CHECK(table::NumberAt(*table::Find(table, "launch"), row) == row);
    CHECK(table::NumberAt(*table::Find(table, "registers"), row) == 168);
    CHECK(table::NumberAt(*table::Find(table, "grid_x"), row) > 0);
    CHECK(table::NumberAt(*table::Find(table, "duration_ns"), row) > 500'000);
    CHECK(table::NumberAt(*table::Find(table, "duration_ns"), row) < 2'000'000);
    CHECK(table::NumberAt(*table::Find(table, "occupancy_pct"), row) > 0);
    CHECK(table::TextAt(*table::Find(table, "sass_digest"), row).size() == 64);
  }
}

TEST_CASE("options of sassmetrics are checked before anything runs") {
  CHECK_THAT(test.Refusal({{"per", "warp"}}), Catch::Contains("kernel, launch"));
  CHECK_THAT(test.Refusal({{"launches", "2"}}), Catch::Contains("per=launch"));
  CHECK(test.Prepare({{"per", "launch"}, {"launches", "2"}}).ok());
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

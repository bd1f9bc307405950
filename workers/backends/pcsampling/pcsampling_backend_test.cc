// The pcsampling backend on what real programs left on a GPU (tests/programs/gpu/truth_counters.cu).
#include "workers/backends/pcsampling/pcsampling_backend.h"

#include <cstring>
#include <string>

#include "tests/catch.h"
#include "workers/backends/pcsampling/importer.h"
#include "workers/backends/injected/testing/under_test.h"

namespace sextant::backends {
namespace {

const injected::UnderTest test(std::make_unique<PcSamplingBackend>(Site{}),
                               "workers/backends/pcsampling/testdata");

TEST_CASE("samples become stall shares by kernel, and rows by instruction and source line") {
  const auto collected = test.CollectRecording("truth", "ffma_chain");
  REQUIRE(collected.ok());
  // A chain of dependent FFMA waits for its own results, and does little else.
  CHECK(injected::CounterOf(*collected, "ffma_chain", "stall_wait") > 50);
  const v1::DataTable& table = collected->tables[0];
  uint64_t chain = 0, all = 0;
  for (uint64_t row = 0; row < table.rows(); ++row) {
    const uint64_t samples = table::NumberAt(*table::Find(table, "samples"), row);
    all += samples;
    if (table::TextAt(*table::Find(table, "opcode"), row) != "FFMA") continue;
    chain += samples;
    CHECK_THAT(std::string(table::TextAt(*table::Find(table, "file"), row)),
               Catch::Contains("truth_counters.cu"));
    CHECK(table::NumberAt(*table::Find(table, "line"), row) > 0);
    CHECK(table::TextAt(*table::Find(table, "sass_digest"), row).size() == 64);
  }
  CHECK(chain > all * 9 / 10);
}

TEST_CASE("the samples of all kernels") { test.CheckRecording("truth"); }

TEST_CASE("samples of other kernels alone are an empty capture that says so") {
  const auto collected = test.CollectRecording("truth", "^matmul");
  REQUIRE(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(collected.status().message()), Catch::Contains("do not match"));
}

TEST_CASE("options of pcsampling are checked before anything runs") {
  CHECK_THAT(test.Refusal({{"period", "4"}}), Catch::Contains("from 5 to 31"));
  CHECK_THAT(test.Refusal({{"mode", "fast"}}), Catch::Contains("continuous, serialized"));
  CHECK_THAT(test.Refusal({{"kernels", "a"}}), Catch::Contains("mode, period"));
  const auto plan = test.Prepare({{"mode", "serialized"}, {"period", "10"}});
  REQUIRE(plan.ok());
  CHECK(plan->env.at("SEXTANT_INJECT_OPTIONS") ==
        "activity.light=1;pcsampling.mode=serialized;pcsampling.period=10");
}

TEST_CASE("pcsampling: damaged frames are left out, whatever bytes they hold") {
  const injected::Process process;
  std::string payload;
  for (uint32_t seed = 1; seed < 4000; ++seed) {
    pcsampling::Importer importer("");
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    for (int frame = 0; frame < 6; ++frame) {
      payload.clear();
      for (uint32_t i = 0; i < random % 200; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        payload.push_back(static_cast<char>(random % 3 == 0 ? random >> 8 : random % 4));
      }
      importer.Take(process, 0, inject::kPcSamplingFrames + frame, payload);
    }
    Collected collected;
    if (importer.Finish(&collected)) {
      for (const v1::DataTable& table : collected.tables) CHECK(table::Check(table).ok());
    }
  }
}

}  // namespace
}  // namespace sextant::backends

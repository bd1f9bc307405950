// The counters backend on what real programs left on a GPU (tests/programs/gpu/truth_counters.cu).
#include "workers/backends/counters/counters_backend.h"

#include <cstring>
#include <string>

#include "tests/catch.h"
#include "workers/backends/counters/importer.h"
#include "workers/backends/injected/testing/under_test.h"
#include <limits>

namespace sextant::backends {
namespace {

const injected::UnderTest test(std::make_unique<CountersBackend>(Site{}),
                               "workers/backends/counters/testdata");

TEST_CASE("counters of kernels whose work is known are what it is") {
  const auto collected = test.CollectRecording("truth");
  REQUIRE(collected.ok());
  CHECK(injected::CounterOf(*collected, "ffma_chain", "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum") ==
        264.0 * 256 * 1000 * 64);
  CHECK(injected::CounterOf(*collected, "half_predicated", "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum") ==
        132.0 * 128 / 2 * 1000);
  CHECK(injected::CounterOf(*collected, "copy_bytes", "l1tex__t_bytes_pipe_lsu_mem_global_op_ld.sum") == 1u << 30);
  CHECK(injected::CounterOf(*collected, "copy_bytes", "dram__bytes_read.sum") == Approx(1u << 30).epsilon(0.01));
  CHECK(injected::CounterOf(*collected, "copy_bytes", "dram__bytes_write.sum") == Approx(1u << 30).epsilon(0.01));
  const std::string conflicts = "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum";
  CHECK(injected::CounterOf(*collected, "void shared_reads<1>", conflicts) == 0);
  CHECK(injected::CounterOf(*collected, "void shared_reads<8>", conflicts) == 528 * 1000 * 7);
  CHECK(injected::CounterOf(*collected, "void shared_reads<32>", conflicts) == 528 * 1000 * 31);
  // 36 spills in the code, 264 blocks of 32 warps.
  CHECK(injected::CounterOf(*collected, "spilled", "smsp__sass_inst_executed_op_local_st.sum") == 36 * 264 * 32);
}

TEST_CASE("the table and the notes of a pass in several hardware passes") {
  test.CheckRecording("truth");
}
TEST_CASE("what fits into one hardware pass runs without replay") { test.CheckRecording("twelve"); }
TEST_CASE("launches have the time that the hardware counted, where it was asked for") {
  const auto timed = test.CollectRecording("twelve");
  REQUIRE(timed.ok());
  REQUIRE(timed->tables.size() == 2);
  const v1::DataTable& launches = timed->tables[1];
  CHECK(launches.name() == "launches");
  REQUIRE(launches.rows() == 7);
  CHECK(table::TextAt(*table::Find(launches, "mangled"), 0) == "_Z10ffma_chainPfi");
  CHECK(table::NumberAt(*table::Find(launches, "block_x"), 0) == 256);
  CHECK(table::NumberAt(*table::Find(launches, "duration_ns"), 0) > 100'000);
  CHECK(test.CollectRecording("truth")->tables.size() == 1);
}
TEST_CASE("a graph is one range") { test.CheckRecording("graph"); }
TEST_CASE("one part of several says which it is") { test.CheckRecording("part"); }

TEST_CASE("a graph that would need replay is left out, and the remedy is said") {
  const auto collected = test.CollectRecording("graph-several-passes");
  REQUIRE(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(collected.status().message()), Catch::Contains("replay=application"));
}

TEST_CASE("an unknown metric is an invalid argument that names its neighbours") {
  const auto collected = test.CollectRecording("unknown-metric");
  REQUIRE(collected.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(collected.status().message()),
             Catch::Contains("\"smsp__inst_executd.sum\"") &&
                 Catch::Contains("smsp__inst_executed"));
}

TEST_CASE("only kernels that match are in the table") {
  const auto collected = test.CollectRecording("truth");
  REQUIRE(collected.ok());
  CHECK(collected->events == 7);
}

TEST_CASE("options of counters are checked before anything runs") {
  CHECK_THAT(test.Refusal({{"set", "ipc+speed"}}),
             Catch::Contains("\"speed\"") && Catch::Contains("roofline"));
  CHECK_THAT(test.Refusal({{"set", ""}}), Catch::Contains("options[\"set\"]"));
  CHECK_THAT(test.Refusal({{"metrics", "a b"}}), Catch::Contains("no metric's name"));
  CHECK_THAT(test.Refusal({{"metrics", "+"}}), Catch::Contains("0 metrics"));
  CHECK_THAT(test.Refusal({{"replay", "user"}}), Catch::Contains("kernel, application"));
  CHECK_THAT(test.Refusal({{"part", "2"}}), Catch::Contains("replay=application"));
  CHECK_THAT(test.Refusal({{"launches", "0"}}), Catch::Contains("from 1 to"));
  CHECK_THAT(test.Refusal({{"lanches", "1"}}), Catch::Contains("set, metrics, replay, part"));
}

TEST_CASE("sets are joined, and each metric is asked for once") {
  const auto plan = test.Prepare({{"set", "ipc+memory"}, {"launches", "3"}});
  REQUIRE(plan.ok());
  const std::string& options = plan->env.at("SEXTANT_INJECT_OPTIONS");
  CHECK(options.find("gpu__time_duration.sum") == options.rfind("gpu__time_duration.sum"));
  CHECK_THAT(options, Catch::Contains("dram__bytes_read.sum") &&
                          Catch::Contains("counters.launches=3"));
  CHECK(plan->env.at("SEXTANT_INJECT") == "counters");
}

TEST_CASE("a value that is no number is left out and noted") {
  counters::Importer importer("");
  injected::Process process;
  process.texts = {"", "sm__cycles_active.avg", "gpc_cycle", "k"};
  const inject::MetricRecord metric = {0, 1, 2, 0};
  importer.Take(process, 0, uint32_t{inject::kCounterFrames} + inject::kMetricFrame,
                {reinterpret_cast<const char*>(&metric), sizeof(metric)});
  for (const double value : {2.0, std::numeric_limits<double>::quiet_NaN()}) {
    inject::LaunchRecord record = {};
    record.kernel = 3;
    record.launches = record.metrics = 1;
    std::string payload(reinterpret_cast<const char*>(&record), sizeof(record));
    payload.append(reinterpret_cast<const char*>(&value), sizeof(value));
    importer.Take(process, 0, uint32_t{inject::kCounterFrames} + inject::kLaunchFrame, payload);
  }
  Collected collected;
  REQUIRE(importer.Finish(&collected));
  CHECK(injected::CounterOf(collected, "k", "sm__cycles_active.avg") == 2);
  REQUIRE(collected.notes.size() == 1);
  CHECK(collected.notes[0] == "sm__cycles_active.avg of k could not be read for 1 of 2 launches: the "
                              "hardware gave no number");
}

TEST_CASE("counters: damaged frames are left out, whatever bytes they hold") {
  const injected::Process process;
  std::string payload;
  for (uint32_t seed = 1; seed < 4000; ++seed) {
    counters::Importer importer("");
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    for (int frame = 0; frame < 6; ++frame) {
      payload.clear();
      for (uint32_t i = 0; i < random % 200; ++i) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        payload.push_back(static_cast<char>(random % 3 == 0 ? random >> 8 : random % 4));
      }
      importer.Take(process, 0, inject::kCounterFrames + frame, payload);
    }
    Collected collected;
    if (importer.Finish(&collected)) {
      for (const v1::DataTable& table : collected.tables) CHECK(table::Check(table).ok());
    }
  }
}

}  // namespace
}  // namespace sextant::backends

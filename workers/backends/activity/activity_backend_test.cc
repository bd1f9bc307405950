// The activity backend on what real programs left on a GPU (tests/programs/gpu).
#include "workers/backends/activity/activity_backend.h"

#include "tests/catch.h"
#include "workers/backends/activity/labels.h"
#include "workers/backends/injected/testing/recording.h"

namespace sextant::backends {
namespace {

const std::filesystem::path kTestData = "workers/backends/activity/testdata";

ActivityBackend Backend() { return ActivityBackend(Site{}); }

absl::StatusOr<Collected> CollectRecording(const std::string& name,
                                           const std::string& kernels = "") {
  v1::Assignment assignment;
  assignment.mutable_workload()->set_kernels(kernels);
  return Backend().Collect(injected::RecordedRun(kTestData / name, &assignment));
}

void CheckRecording(const std::string& name, const std::string& kernels = "") {
  injected::CheckGolden(kTestData / name, injected::Describe(CollectRecording(name, kernels)));
}

TEST_CASE("a program's kernels, copies and calls become tracks, tables and counters") {
  CheckRecording("work");
}

TEST_CASE("kernels of a graph are launches of their own, in the order of its nodes") {
  CheckRecording("graph");
}

TEST_CASE("NVTX ranges stand on the track of their thread") { CheckRecording("ranges"); }

TEST_CASE("one kernel name with two codes is told apart at each launch") {
  CheckRecording("modules");
}

TEST_CASE("threads and processes have tracks of their own") { CheckRecording("threads"); }

TEST_CASE("a program that starts CUDA and launches nothing is an empty capture with the reason") {
  CheckRecording("idle");
}

TEST_CASE("a program that dies keeps what it recorded") {
  CheckRecording("segfault");
  CheckRecording("illegal");
}

TEST_CASE("kernels that do not match are an empty capture that names them") {
  const auto collected = CollectRecording("work", "^matmul");
  REQUIRE(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  const std::string message(collected.status().message());
  CHECK_THAT(message, Catch::Contains("none of the 28 launches"));
  CHECK_THAT(message, Catch::Contains("Scale(float*, float, int)"));
}

TEST_CASE("only launches that match are numbered, from 0") {
  const auto collected = CollectRecording("work", "^Spin");
  REQUIRE(collected.ok());
  const v1::DataTable& launches = collected->tables[0];
  REQUIRE(launches.rows() == 3);
  const v1::DataColumn* const numbers = table::Find(launches, "launch");
  const v1::DataColumn* const durations = table::Find(launches, "duration_ns");
  for (int row = 0; row < 3; ++row) {
    CHECK(numbers->ints(row) == row);
    // Spin waits for 1 ms of the GPU's clock.
    CHECK(durations->ints(row) >= 1'000'000);
    CHECK(durations->ints(row) < 1'100'000);
  }
}

TEST_CASE("a results directory without files says that CUDA was not started") {
  const std::filesystem::path empty =
      std::filesystem::temp_directory_path() / absl::StrCat("sextant-activity-", getpid());
  std::filesystem::create_directories(empty);
  v1::Assignment assignment;
  RunRecord run;
  run.assignment = &assignment;
  run.results_dir = empty;
  run.exit.set_verdict(v1::EXITED);
  const auto collected = Backend().Collect(run);
  std::filesystem::remove_all(empty);
  REQUIRE(collected.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(collected.status().message()),
             Catch::Contains("no process of the program started CUDA"));
}

TEST_CASE("the launch plan names the library and the options") {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("./program");
  assignment.mutable_workload()->set_kernels("matmul|softmax");
  (*assignment.mutable_spec()->mutable_options())["api"] = "0";
  const auto plan = Backend().Prepare(assignment);
  REQUIRE(plan.ok());
  CHECK(plan->env.at("CUDA_INJECTION64_PATH") == "/sextant/lib/libsextant_inject.so");
  CHECK(plan->env.at("SEXTANT_INJECT") == "activity");
  CHECK(plan->env.at("SEXTANT_INJECT_OPTIONS") == "activity.api=0");
  CHECK(plan->env.at("SEXTANT_KERNELS") == "matmul|softmax");
}

TEST_CASE("what cannot be is refused with the name of the field") {
  v1::Assignment assignment;
  CHECK_THAT(std::string(Backend().Prepare(assignment).status().message()),
             Catch::Contains("workload.argv"));
  assignment.mutable_workload()->add_argv("./program");
  auto& options = *assignment.mutable_spec()->mutable_options();
  options["api"] = "yes";
  CHECK_THAT(std::string(Backend().Prepare(assignment).status().message()),
             Catch::Contains("options[\"api\"]: \"yes\" is neither 0 nor 1"));
  options = {};
  options["apis"] = "1";
  CHECK_THAT(std::string(Backend().Prepare(assignment).status().message()),
             Catch::Contains("it has api, nvtx, light"));
  options = {};
  assignment.mutable_workload()->set_kernels("matmul(");
  CHECK_THAT(std::string(Backend().Prepare(assignment).status().message()),
             Catch::Contains("workload.kernels: \"matmul(\""));
}

TEST_CASE("calls lose the version that CUPTI appends, and nothing else") {
  CHECK(activity::ApiRegion("cudaMemcpy_v3020") == "cudaMemcpy");
  CHECK(activity::ApiRegion("cuLaunchKernelEx_ptsz") == "cuLaunchKernelEx_ptsz");
  CHECK(activity::ApiRegion("cuDeviceTotalMem_v2") == "cuDeviceTotalMem");
  CHECK(activity::ApiRegion("my_value") == "my_value");
  CHECK(activity::ApiRegion("") == "(unnamed call)");
}

TEST_CASE("copies are named by where they go") {
  CHECK(activity::CopyName(1) == "HtoD");
  CHECK(activity::CopyRegion(2) == "copy DtoH");
  CHECK(activity::CopyName(100) == "memset");
  CHECK(activity::CopyRegion(9999) == "copy of unknown kind");
}

}  // namespace
}  // namespace sextant::backends

// The scopes backend: options, what it asks for, and what it says of a run that left little.
#include "workers/backends/scopes/scopes_backend.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "proto/chunk/decoder.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/scopes/testing/files.h"
#include "workers/backends/scopes/testing/recording.h"

namespace sextant::backends {
namespace {

using namespace scopes::testing;  // NOLINT: names of one header

v1::Assignment With(const std::map<std::string, std::string>& options) {
  v1::Assignment assignment;
  assignment.mutable_workload()->add_argv("gemm");
  for (const auto& [name, value] : options) {
    (*assignment.mutable_spec()->mutable_options())[name] = value;
  }
  return assignment;
}

// A results directory, and the end of the program that left it.
class Run {
 public:
  Run() {
    char name[] = "/tmp/sextant-scopes-test-XXXXXX";
    record_.results_dir = mkdtemp(name);
    record_.assignment = &assignment_;
    record_.started_monotonic_ns = 1'000'000;
    record_.exit.set_verdict(v1::EXITED);
  }
  ~Run() { std::filesystem::remove_all(record_.results_dir); }
  void Leave(const std::string& name, const Bytes& bytes) {
    std::ofstream(record_.results_dir / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  }
  RunRecord& record() { return record_; }
  std::string Refusal() {
    const auto collected = ScopesBackend(Site{}).Collect(record_);
    REQUIRE(!collected.ok());
    CHECK(collected.status().code() == absl::StatusCode::kFailedPrecondition);
    return std::string(collected.status().message());
  }

 private:
  v1::Assignment assignment_;
  RunRecord record_;
};

TEST_CASE("options become the recorder's text, in one order") {
  const ScopesBackend backend(Site{});
  const auto plan = backend.Prepare(
      With({{"scopes", "load+mma"}, {"ctas", "1/8"}, {"records", "4096"}, {"memory", "host"}}));
  REQUIRE(plan.ok());
  CHECK(plan->env.at("SEXTANT_SCOPES") == "ctas=1/8,memory=host,records=4096,scopes=load+mma");
  CHECK(plan->env.at("SEXTANT_RESULTS") == "/results");
  CHECK(backend.Prepare(With({}))->env.at("SEXTANT_SCOPES") == "1");
}

TEST_CASE("a part of split scopes is the recorder's, and none is without the other") {
  const ScopesBackend backend(Site{});
  CHECK(backend.Prepare(With({{"split", "3"}, {"part", "2"}, {"ctas", "1/8"}}))->env.at("SEXTANT_SCOPES") ==
        "ctas=1/8,part=2/3");
  const auto refusal = [&](std::map<std::string, std::string> options) {
    return std::string(backend.Prepare(With(options)).status().message());
  };
  CHECK(absl::StrContains(refusal({{"split", "3"}}), "add part=K"));
  CHECK(absl::StrContains(refusal({{"part", "1"}}), "add split=N"));
  CHECK(absl::StrContains(refusal({{"part", "4"}, {"split", "3"}}), "larger than split"));
  CHECK(absl::StrContains(refusal({{"part", "1"}, {"split", "33"}}), "from 1 to 32"));
  CHECK(absl::StrContains(refusal({{"part", "1"}, {"split", "2"}, {"scopes", "mma"}}), "leave one out"));
}

TEST_CASE("launches come from the injection library beside the recorder, unless they are not wanted") {
  Run run;
  run.Leave("libsextant_inject.so", Bytes(1));
  const ScopesBackend backend(Site{.libraries = run.record().results_dir});
  const auto plan = backend.Prepare(With({{"records", "64"}}));
  REQUIRE(plan.ok());
  CHECK(plan->env.at("SEXTANT_INJECT") == "activity");
  CHECK(absl::StrContains(plan->env.at("SEXTANT_INJECT_OPTIONS"), "activity.light=1"));
  CHECK(plan->env.contains("CUDA_INJECTION64_PATH"));
  CHECK(plan->env.at("SEXTANT_SCOPES") == "records=64");
  CHECK(plan->argv == std::vector<std::string>{"gemm"});
  const auto without = backend.Prepare(With({{"launches", "0"}}));
  REQUIRE(without.ok());
  CHECK(!without->env.contains("CUDA_INJECTION64_PATH"));
  CHECK(without->argv == std::vector<std::string>{"gemm"});
}

TEST_CASE("a bad option is named, with what it may be") {
  const auto refusal = [](const std::string& name, const std::string& value) {
    return std::string(ScopesBackend(Site{}).Prepare(With({{name, value}})).status().message());
  };
  CHECK(absl::StrContains(refusal("records", "3"), "options[\"records\"]: \"3\" is not a number"));
  CHECK(absl::StrContains(refusal("ctas", "2/3"), "not 1/N"));
  CHECK(absl::StrContains(refusal("memory", "both"), "neither \"device\" nor \"host\""));
  CHECK(absl::StrContains(refusal("scopes", "a,b"), "join by +"));
  CHECK(absl::StrContains(refusal("speed", "1"), "has no such option; it has records, scopes"));
}

TEST_CASE("a run's files become chunks in cycles, and tables") {
  Run run;
  TestFile file;
  file.warps = {{.records = {Begin("load", 10), End("load", 20), Arrive("full", 1, 30)}}};
  run.Leave("sextant-scopes-7-0.bin", file.Write());
  run.Leave("sextant-scopes-8-0.bin", Bytes(10));
  const auto collected = ScopesBackend(Site{}).Collect(run.record());
  REQUIRE(collected.ok());
  CHECK(collected->events == 1);
  REQUIRE(collected->chunks.size() == 1);
  const auto chunk = chunk::DecodeUntrusted(collected->chunks[0]);
  REQUIRE(chunk.ok());
  CHECK(chunk->header.unit() == v1::CYCLES);
  REQUIRE(collected->tables.size() == 2);
  CHECK(collected->tables[0].name() == "barriers");
  CHECK(collected->tables[1].name() == "launches");
  REQUIRE(!collected->notes.empty());
  CHECK(absl::StrContains(collected->notes[0], "sextant-scopes-8-0.bin was left out"));
}

TEST_CASE("launches are numbered as CUPTI saw them in the same pass, and have its times") {
  Run run;
  const std::string scopes = Recording("gemm_ws"), activity = Recording("gemm_ws.activity");
  run.Leave("sextant-scopes-501-0.bin", Bytes(scopes.begin(), scopes.end()));
  run.Leave("inject-501-activity.bin", Bytes(activity.begin(), activity.end()));
  run.record().started_monotonic_ns = 1;  // the recording's clock is another machine's
  const auto collected = ScopesBackend(Site{}).Collect(run.record());
  REQUIRE(collected.ok());
  const v1::DataTable* launches = nullptr;
  for (const v1::DataTable& table : collected->tables) {
    if (table.name() == "launches") launches = &table;
  }
  REQUIRE(launches != nullptr);
  std::set<uint32_t> gemms;
  for (uint64_t row = 0; row < launches->rows(); ++row) {
    const std::string kernel(table::TextAt(*table::Find(*launches, "kernel"), row));
    CHECK(!absl::StrContains(kernel, "sextant_read_clock"));
    CHECK(table::NumberAt(*table::Find(*launches, "duration_ns"), row) > 0);
    if (absl::StrContains(kernel, "gemm_ws")) {
      gemms.insert(static_cast<uint32_t>(table::NumberAt(*table::Find(*launches, "launch"), row)));
    }
  }
  // Two matrices were filled before.
  CHECK(gemms == std::set<uint32_t>{2, 3});
  std::set<uint32_t> traced;
  for (const std::string& bytes : collected->chunks) {
    const auto chunk = chunk::DecodeUntrusted(bytes);
    REQUIRE(chunk.ok());
    for (const chunk::TrackSlice& slice : chunk->tracks) traced.insert(slice.track.launch);
  }
  CHECK(traced == gemms);
}

TEST_CASE("a run that left nothing is told what to do") {
  CHECK(absl::StrContains(Run().Refusal(), "no process of the program made a sextant::Recorder"));

  Run killed;
  TestFile file;
  file.ended = 0;
  killed.Leave("sextant-scopes-7-0.bin", file.Write());
  killed.record().exit.set_verdict(v1::SIGNALLED);
  killed.record().exit.set_signal(9);
  CHECK(absl::StrContains(killed.Refusal(), "Option memory=host keeps it; it was ended by signal 9"));

  Run faulty;
  file.ended = 1;
  file.error = "an illegal memory access was encountered";
  faulty.Leave("sextant-scopes-7-0.bin", file.Write());
  CHECK(absl::StrContains(faulty.Refusal(), "an illegal memory access was encountered"));

  Run unscoped;
  file.error = "";
  file.warps.resize(2);
  unscoped.Leave("sextant-scopes-7-0.bin", file.Write());
  CHECK(absl::StrContains(unscoped.Refusal(), "2 warps came through SEXTANT_KERNEL"));
}

TEST_CASE("a hang is kept though no scope ended: the table says where each warp was") {
  Run run;
  TestFile file;
  file.packed = false;
  file.slots = 1;
  file.ended = 0;
  file.warps = {{.end_timer = 0, .records = {WaitBegin("full", 2, 100)}}};
  run.Leave("sextant-scopes-7-0.bin", file.Write());
  run.record().exit.set_verdict(v1::TIMED_OUT);
  const auto collected = ScopesBackend(Site{}).Collect(run.record());
  REQUIRE(collected.ok());
  REQUIRE(!collected->tables.empty());
  CHECK(collected->tables[0].name() == "open_scopes");
}

}  // namespace
}  // namespace sextant::backends

// Regions of Triton's code by source line, on what Triton 3.6 made of testdata/scoped.py.
#include "server/analysis/region_map.h"

#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "server/analysis/hotspots.h"
#include "server/analysis/region_costs.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

constexpr char kCode[] = "c0dec0de00000000";
constexpr char kCopy[] = "0dd0dd0000000000";   // the instrumented code
constexpr uint32_t kLoopFirst = 0x4f0, kLoopLast = 0xae0;   // of scoped.sass
constexpr int64_t kTurns = 3, kWarps = 4;

std::string File(const std::string& name) {
  std::ifstream file("server/analysis/testdata/" + name);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

SassFunction Code() {
  auto function = ParseSassUntrusted(File("scoped.sass"));
  REQUIRE(function.ok());
  return *std::move(function);
}

int64_t Executed(uint32_t pc) { return kWarps * (pc >= kLoopFirst && pc <= kLoopLast ? kTurns : 1); }

v1::DataTable Counts() {
  table::Builder rows("sass_metrics");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto launch = rows.Int("launch");
  const auto pc = rows.Int("pc", "bytes");
  const auto of = rows.Text("opcode_class");
  const auto executed = rows.Int("executed");
  const auto threads = rows.Int("threads");
  for (const SassInstruction& one : Code().code) {
    rows.Set(kernel, "scoped");
    rows.Set(digest, kCode);
    rows.Set(launch, 0);
    rows.Set(pc, one.pc);
    rows.Set(of, one.mnemonic());
    rows.Set(executed, Executed(one.pc));
    rows.Set(threads, 32 * Executed(one.pc));
    rows.EndRow();
  }
  return rows.Finish();
}

v1::DataTable Samples() {
  table::Builder rows("pc_samples");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto pc = rows.Int("pc", "bytes");
  const auto stall = rows.Text("stall");
  const auto samples = rows.Int("samples");
  for (const SassInstruction& one : Code().code) {
    if (one.line == 0 || one.mnemonic() != "MUFU") continue;   // the exponentials of helper
    rows.Set(kernel, "scoped");
    rows.Set(digest, kCode);
    rows.Set(pc, one.pc);
    rows.Set(stall, "wait");
    rows.Set(samples, 1);
    rows.EndRow();
  }
  return rows.Finish();
}

// What the warps record: load 100; work 1000 with three steps of 300, each with inner for 60; inner 20; store 50.
SyntheticPass Recorded() {
  SyntheticPass pass({"load", "work", "step", "inner", "store"}, v1::CYCLES, 0.5);
  for (uint32_t warp = 0; warp < kWarps; ++warp) {
    const uint32_t track = pass.Thread("", {.warp = warp});
    pass.Did(track, 0, 0, 100);
    pass.Did(track, 1, 100, 1000);
    for (uint64_t i = 0; i < kTurns; ++i) {
      pass.Did(track, 2, 110 + 320 * i, 300);
      pass.Did(track, 3, 120 + 320 * i, 60);
    }
    pass.Did(track, 3, 1110, 20);
    pass.Did(track, 4, 1140, 50);
  }
  return pass;
}

enum class From { kCompiler, kSource, kNothing };

TestJob Job(From from, bool ir = true) {
  const auto launches = [](const char* code, int64_t ns) { return LaunchTable({{"scoped", ns, code}}); };
  TestJob job;
  job.Pass("activity", {{"light", "1"}}).Add(launches(kCode, 1000));
  job.Pass("proton").Add(launches(kCopy, 1100)).Trace(Recorded().Chunks());
  if (from == From::kCompiler) job.Artifact("scoped.0.scopes.mlir", "ir", File("scoped.source"));
  job.Pass("sassmetrics").Add(Counts());
  job.Pass("pcsampling").Add(Samples());
  if (ir)
    job.Pass("ir").Add(launches(kCode, 1000)).Artifact("scoped.c0dec0de.sass", "ir", File("scoped.sass"))
        .Artifact("scoped.c0dec0de.ttgir", "ir", File("scoped.ttgir"));
  if (from == From::kSource) job.File("scoped.py", File("scoped.py"));
  return job;
}

v1::RegionCosts Costs(const TestJob& job) {
  const auto costs = MakeRegionCosts(job.Gather(), {});
  INFO(costs.status().ToString());
  REQUIRE(costs.ok());
  return *costs;
}

const v1::RegionCost& Row(const v1::RegionCosts& costs, const std::string& region, const std::string& parent = "") {
  for (const v1::RegionCost& row : costs.regions())
    if (row.region() == region && row.parent() == parent) return row;
  FAIL("no row " << region << " in " << parent);
  return costs.regions(0);
}

// Executions of the instructions whose file ends so and whose line is among those.
double Of(absl::string_view file, std::vector<uint32_t> lines, uint32_t first = 0, uint32_t last = UINT32_MAX) {
  double sum = 0;
  const SassFunction function = Code();
  for (const SassInstruction& one : function.code)
    if (one.pc >= first && one.pc <= last && absl::EndsWith(function.files[one.file], file) &&
        std::find(lines.begin(), lines.end(), one.line) != lines.end())
      sum += static_cast<double>(Executed(one.pc));
  return sum;
}

TEST_CASE("regions of Proton have the instructions of the clean code, by source line") {
  const From from = GENERATE(From::kCompiler, From::kSource);
  const v1::RegionCosts costs = Costs(Job(from));
  CHECK(costs.basis().abstentions_size() == 1);   // the IPC of an SM
  CHECK(costs.regions_size() == 6);
  const double load = Of("scoped.py", {23, 24}), store = Of("scoped.py", {35, 36}), step = Of("scoped.py", {29, 30}) + Of("standard.py", {263, 293}),
               work = Of("scoped.py", {27, 31, 32}) + Of("standard.py", {170, 191}),
               inner = Of("scoped.py", {14}, kLoopFirst, kLoopLast), after = Of("scoped.py", {14}, kLoopLast + 1);
  REQUIRE(inner > 0);
  REQUIRE(after > 0);
  CHECK(Row(costs, "load").instructions() == load);
  CHECK(Row(costs, "store").instructions() == store);
  // A function that is inlined in two regions: each copy goes by what is beside it.
  CHECK(Row(costs, "inner", "step").instructions() == inner);
  CHECK(Row(costs, "inner").instructions() == after);
  CHECK(Row(costs, "step", "work").instructions_exclusive() == step);
  CHECK(Row(costs, "step", "work").instructions() == step + inner);
  CHECK(Row(costs, "work").instructions_exclusive() == work);
  CHECK(Row(costs, "work").instructions() == work + step + inner);

  const v1::RegionCost& row = Row(costs, "step", "work");
  CHECK(row.source() == "sassmetrics by source line");
  CHECK(std::vector<std::string>(row.code().begin(), row.code().end()) == std::vector<std::string>{"scoped.py:28-30"});
  CHECK(row.ipc() == Approx((step + inner) / (kWarps * kTurns * 300)));
  CHECK(row.ipc_exclusive() == Approx(step / (kWarps * kTurns * 240)));
  CHECK(row.confidence() < 0.8 / 1.1 + 0.01);
  CHECK(row.confidence() > 0.6);
  CHECK(absl::StrContains(row.why(), "by source line: the compiler moves code over borders of regions"));
  CHECK(absl::StrContains(row.why(), "were inlined in several regions"));
  CHECK(absl::StrContains(row.why(), "1.10 times as long"));
  CHECK(Row(costs, "inner", "step").stalls(0).value() > 0);
}

TEST_CASE("without the compiler's text, a function inlined in several regions is doubtful") {
  const v1::RegionCosts costs = Costs(Job(From::kCompiler, /*ir=*/false));
  // The rows of instructions come without lines here: the counters left none.
  for (const v1::RegionCost& row : costs.regions()) CHECK(std::isnan(row.instructions()));
}

TEST_CASE("where nothing tells the lines of regions, the answer has times and says what would settle it") {
  const v1::RegionCosts costs = Costs(Job(From::kNothing));
  bool said = false;
  for (const v1::Abstention& one : costs.basis().abstentions()) {
    if (one.question() != "which instructions belong to which region") continue;
    said = true;
    CHECK(one.pass() == "proton");
    CHECK(absl::StrContains(one.why(), "the workload's bundle does not have the source"));
  }
  CHECK(said);
  for (const v1::RegionCost& row : costs.regions()) {
    CHECK(row.cycles_total() > 0);
    CHECK(std::isnan(row.instructions()));
    CHECK_FALSE(row.why().empty());
  }
}

TEST_CASE("samples and executions are summed by region, with the time of the instrumented passes") {
  v1::GetHotspotsRequest request;
  request.set_by("region");
  const auto hotspots = MakeHotspots(Job(From::kSource).Gather(), request);
  REQUIRE(hotspots.ok());
  std::map<std::string, double> samples, time;
  for (const v1::Hotspot& one : hotspots->hotspots()) {
    samples[one.parent() + ">" + one.name()] = one.samples();
    time[one.parent() + ">" + one.name()] = one.time_ns();
    if (one.name() == "step") CHECK(one.text() == "scoped.py:28-30");
  }
  CHECK(samples["step>inner"] > 0);
  CHECK(samples[">inner"] > 0);
  CHECK(samples["step>inner"] + samples[">inner"] == hotspots->total_samples());
  CHECK(time["work>step"] == Approx(kWarps * kTurns * 240 * 0.5));
  CHECK(time[">load"] == Approx(kWarps * 100 * 0.5));
}

}  // namespace
}  // namespace sextant::analysis

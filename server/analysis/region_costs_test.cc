#include "server/analysis/region_costs.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/sass.h"
#include "server/analysis/synthetic.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

constexpr char kCode[] = "c0dec0de00000000";
constexpr char kKernel[] = "nested(float*, int, int, int)";

std::string NestedSass() {
  std::ifstream file("server/analysis/testdata/nested.sass");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// How often a warp runs each part of testdata/nested.cu with outer = 3, inner = 6, half = 2: from the source's trip
// counts, for the addresses of nested.sass. The slow paths of the square root and the reciprocal are not taken.
struct Part {
  uint32_t first, last;
  int64_t executed;
};
constexpr Part kParts[] = {{0x000, 0x780, 1},  {0x790, 0x820, 3},   {0x830, 0x860, 3},   {0x870, 0x9c0, 18},
                           {0x9d0, 0x9f0, 3},  {0xa00, 0xae0, 2},   {0xb20, 0xb50, 2},   {0xb60, 0xc10, 2},
                           {0xc20, 0xcb0, 3},  {0xcc0, 0xd70, 1},   {0xdc0, 0xdf0, 1},   {0xe00, 0xfc0, 1},
                           {0xfd0, 0x1390, 1}, {0x13a0, 0x1400, 1}, {0x1410, 0x1550, 2}, {0x1560, 0x1700, 1}};

// sass_metrics of `launches` launches of `warps` warps, together.
v1::DataTable Counts(int64_t warps, int64_t launches) {
  table::Builder rows("sass_metrics");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto launch = rows.Int("launch");
  const auto pc = rows.Int("pc", "bytes");
  const auto of = rows.Text("opcode_class");
  const auto executed = rows.Int("executed");
  const auto threads = rows.Int("threads");
  const auto off = rows.Int("predicated_off");
  const auto function = ParseSassUntrusted(NestedSass());
  REQUIRE(function.ok());
  for (const Part& part : kParts)
    for (uint32_t at = part.first; at <= part.last; at += 16) {
      const SassInstruction& one = function->code[function->At(at)];
      rows.Set(kernel, kKernel);
      rows.Set(digest, kCode);
      rows.Set(launch, -1);
      rows.Set(pc, at);
      rows.Set(of, one.mnemonic() == "FFMA" ? "fp32" : "other");
      rows.Set(executed, part.executed * warps * launches);
      rows.Set(threads, part.executed * warps * launches * 32);
      rows.Set(off, one.guard.empty() ? 0 : part.executed * warps * launches * 31);
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
  const auto row = [&](int64_t at, const char* why, int64_t count) {
    rows.Set(kernel, kKernel);
    rows.Set(digest, kCode);
    rows.Set(pc, at);
    rows.Set(stall, why);
    rows.Set(samples, count);
    rows.EndRow();
  };
  row(0x920, "long_scoreboard", 30);   // in inner
  row(0x930, "selected", 10);          // in inner
  row(0xb90, "wait", 4);               // in branch
  row(0x9e0, "wait", 5);               // in outer alone
  row(0x100, "wait", 7);               // in no region
  return rows.Finish();
}

// What a warp of `nested` records: a cycle is a cycle.
void Warp(SyntheticPass* pass, const std::string& role, chunk::Track track) {
  const uint32_t warp = pass->Thread(role, track);
  uint64_t now = 0;
  for (int i = 0; i < 3; ++i, now += 100) {
    pass->Did(warp, 0, now, 100);
    for (int j = 0; j < 6; ++j) pass->Did(warp, 1, now + 10 * j, 9);
    if (i < 2) pass->Did(warp, 2, now + 70, 20);
  }
  pass->Did(warp, 0, now, 60);
  pass->Did(warp, 3, now + 60, 80);
  for (int j = 0; j < 6; ++j) pass->Did(warp, 4, now + 60 + 5 * j, 4);
}

SyntheticPass Recorded(const std::vector<std::string>& roles, int launches) {
  SyntheticPass pass({"outer", "inner", "branch", "tail", "step"}, v1::CYCLES, 0.5);
  for (int launch = 0; launch < launches; ++launch)
    for (const std::string& role : roles) Warp(&pass, role, {.launch = static_cast<uint32_t>(launch)});
  return pass;
}

const std::map<std::string, std::string> kLight = {{"light", "1"}};

// Two launches of two warps; `recorded` of them were.
TestJob Whole(const std::vector<std::string>& roles = {"worker", "worker"}, int recorded = 2) {
  const auto launches = [] { return LaunchTable({{kKernel, 1000, kCode}, {kKernel, 1000, kCode}}); };
  TestJob job;
  job.Pass("activity", kLight).Add(launches());
  job.Pass("scopes").Add(launches()).Trace(Recorded(roles, recorded).Chunks());
  job.Pass("sassmetrics").Add(Counts(2, 2));
  job.Pass("pcsampling").Add(Samples());
  job.Pass("ir").Add(launches()).Artifact("nested.c0dec0de.sass", "ir", NestedSass());
  return job;
}

v1::RegionCosts Costs(const TestJob& job, bool by_warp = false) {
  v1::GetRegionCostsRequest request;
  request.set_by_warp(by_warp);
  const auto costs = MakeRegionCosts(job.Gather(), request);
  INFO(costs.status().ToString());
  REQUIRE(costs.ok());
  return *costs;
}

const v1::RegionCost& Row(const v1::RegionCosts& costs, const std::string& region, int32_t warp = -1) {
  for (const v1::RegionCost& row : costs.regions())
    if (row.region() == region && row.warp() == warp) return row;
  FAIL("no row " << region);
  return costs.regions(0);
}

std::vector<std::string> Questions(const v1::RegionCosts& costs) {
  std::vector<std::string> questions;
  for (const v1::Abstention& one : costs.basis().abstentions()) questions.push_back(one.question() + ": " + one.pass());
  return questions;
}

TEST_CASE("instructions and cycles of nested and repeated regions are exact") {
  const v1::RegionCosts costs = Costs(Whole());
  struct Truth {
    const char *region, *parent;
    uint64_t instances;
    double instructions, exclusive;   // of a warp, counted by hand over kParts
    double cycles, cycles_exclusive;
  };
  // Two warps.
  for (const Truth& truth : {Truth{"outer", "", 4, 524, 278, 360, 360 - 18 * 9 - 40}, {"inner", "outer", 18, 198, 198, 162, 162},
                             {"branch", "outer", 2, 48, 48, 40, 40}, {"tail", "", 1, 129, 76, 80, 56},
                             {"step", "tail", 6, 53, 53, 24, 24}}) {
    INFO(truth.region);
    const v1::RegionCost& row = Row(costs, truth.region);
    CHECK(row.role() == "worker");
    CHECK(row.parent() == truth.parent);
    CHECK(row.instances() == 2 * truth.instances);
    CHECK(row.instructions() == 2 * truth.instructions);
    CHECK(row.instructions_exclusive() == 2 * truth.exclusive);
    CHECK(row.cycles_total() == 2 * truth.cycles);
    CHECK(row.cycles_exclusive() == 2 * truth.cycles_exclusive);
    CHECK(row.ipc() == Approx(truth.instructions / truth.cycles));
    CHECK(row.ipc_exclusive() == Approx(truth.exclusive / truth.cycles_exclusive));
    CHECK(row.confidence() == 1);
    CHECK(row.why().empty());
    CHECK(row.source() == "sassmetrics by PC range");
  }
  int64_t executed = 0;
  for (const Part& part : kParts) executed += part.executed * ((part.last - part.first) / 16 + 1);
  CHECK(costs.kernel_instructions() == 2 * executed);
  CHECK(Row(costs, "inner").issue_share() == Approx(198.0 / executed));
  CHECK(Row(costs, "inner").time_share() == Approx(162.0 / 440));   // of the warp's 440 cycles
  CHECK(Row(costs, "inner").cycles(1) == 9);
  CHECK(Row(costs, "tail").code_size() == 1);
  CHECK(Row(costs, "inner").code(0) == "0x8a0-0x940");
  // Parents before their children, and the longest first.
  std::vector<std::string> order;
  for (const v1::RegionCost& row : costs.regions()) order.push_back(row.region());
  CHECK(order == std::vector<std::string>{"outer", "inner", "branch", "tail", "step"});
  CHECK(Questions(costs) == std::vector<std::string>{"instructions a cycle of an SM: counters:set=ipc"});
}

TEST_CASE("mix, stalls and predication are of the region's own instructions") {
  const v1::RegionCosts costs = Costs(Whole());
  const v1::RegionCost& inner = Row(costs, "inner");
  // Of its 11 instructions two are FFMA and four make the record: three after the begin, one the end.
  std::map<std::string, double> mix;
  for (const v1::NamedShare& one : inner.mix()) mix[one.name()] = one.value();
  CHECK(mix == std::map<std::string, double>{{"fp32", 72}, {"other", 144}, {"recording", 180}});
  REQUIRE(inner.stalls_size() == 2);
  CHECK(inner.stalls(0).name() == "long_scoreboard");
  CHECK(inner.stalls(0).share() == 0.75);
  CHECK(inner.stalls(1).name() == "selected");
  CHECK(Row(costs, "outer").stalls(0).value() == 5);
  CHECK(inner.predicated_off_share() == Approx(6 * 31.0 / (11 * 32)));
  double stalls = 0;
  for (const v1::NamedShare& one : costs.stalls()) stalls += one.value();
  CHECK(stalls == 56);
}

TEST_CASE("roles that run the same code share its counts by their instances, and are told so") {
  const v1::RegionCosts costs = Costs(Whole({"a", "b"}));
  REQUIRE(costs.regions_size() == 10);
  const v1::RegionCost& inner = Row(costs, "inner");
  CHECK(inner.instructions() == 198);
  CHECK(inner.instances() == 18);
  CHECK(inner.confidence() == 0.5);
  CHECK(absl::StrContains(inner.why(), "shared out by instances"));
  const v1::RegionCosts warps = Costs(Whole({"worker", "worker"}, 1), true);
  CHECK(Row(warps, "inner", 1).instructions() == 198);
  CHECK(Row(warps, "inner", 1).cycles_total() == 162);
  CHECK(Row(warps, "inner", 1).confidence() == 0.5);
  CHECK(Row(warps, "inner").confidence() == 1);
}

TEST_CASE("where records were lost the code tells how many instances there were") {
  TestJob job;
  job.Pass("sassmetrics").Add(Counts(2, 1));
  job.Pass("ir").Add(LaunchTable({{kKernel, 1000, kCode}})).Artifact("nested.c0dec0de.sass", "ir", NestedSass());
  SyntheticPass recorded({"tail", "step"}, v1::CYCLES, 0.5);
  for (int warp = 0; warp < 2; ++warp) {
    const uint32_t thread = recorded.Thread("worker", {.dropped = 20, .from_tail = true});
    recorded.Did(thread, 0, 0, 80);
    for (int j = 2; j < 6; ++j) recorded.Did(thread, 1, 5 * j, 4);
  }
  job.Pass("scopes").Add(LaunchTable({{kKernel, 1000, kCode}})).Trace(recorded.Chunks());
  const v1::RegionCosts costs = Costs(job);
  const v1::RegionCost& step = Row(costs, "step");
  CHECK(step.instances() == 12);
  CHECK(step.cycles_total() == 48);
  CHECK(step.instructions() == 106);
  CHECK(step.confidence() == Approx(8.0 / 12));
  CHECK(absl::StrContains(step.why(), "8 of 12 instances a launch were recorded"));
  // What no trace has keeps its instructions.
  const v1::RegionCost& outer = Row(costs, "scope 0xbc064");
  CHECK(outer.instructions() == 2 * 524);
  CHECK(std::isnan(outer.cycles_total()));
  CHECK(outer.why() == "no pass recorded it");
}

TEST_CASE("each pass that is missing is named, and the rest is answered") {
  const auto launches = [] { return LaunchTable({{kKernel, 1000, kCode}}); };
  {
    TestJob job;
    job.Pass("activity", kLight).Add(launches());
    const v1::RegionCosts costs = Costs(job);
    CHECK(costs.regions().empty());
    CHECK(std::isnan(costs.kernel_instructions()));
    CHECK(Questions(costs) ==
          std::vector<std::string>{"how long regions take: scopes*5", "what regions execute: sassmetrics",
                                   "why warps of regions stand still: pcsampling",
                                   "which instructions belong to which region: ir",
                                   "instructions a cycle of an SM: counters:set=ipc"});
  }
  {
    TestJob job;   // times alone
    job.Pass("scopes").Add(launches()).Trace(Recorded({"w"}, 1).Chunks());
    const v1::RegionCost row = Row(Costs(job), "inner");
    CHECK(row.cycles_total() == 162);
    CHECK(std::isnan(row.instructions()));
    CHECK(std::isnan(row.ipc()));
    CHECK(row.confidence() == 0);
    CHECK(row.why() == "no pass counted instructions");
  }
  {
    TestJob job;   // counts and code, no times
    job.Pass("sassmetrics").Add(launches()).Add(Counts(1, 1));
    job.Pass("ir").Add(launches()).Artifact("nested.c0dec0de.sass", "ir", NestedSass());
    const v1::RegionCosts costs = Costs(job);
    CHECK(costs.regions_size() == 5);
    CHECK(Row(costs, "scope 0x1e6ce1").instructions() == 198);
  }
}

TEST_CASE("times of other code are not divided by counts of this one") {
  TestJob job;
  job.Pass("activity", kLight).Add(LaunchTable({{kKernel, 1000, kCode}}));
  job.Pass("proton").Add(LaunchTable({{kKernel, 1100, "0the4"}})).Trace(Recorded({"w"}, 1).Chunks());
  job.Pass("sassmetrics").Add(LaunchTable({{kKernel, 1000, kCode}})).Add(Counts(1, 1));
  job.Pass("ir").Add(LaunchTable({{kKernel, 1000, kCode}})).Artifact("nested.c0dec0de.sass", "ir", NestedSass());
  const v1::RegionCosts costs = Costs(job);
  const v1::RegionCost& row = Row(costs, "inner");
  CHECK(row.cycles_total() == 162);
  CHECK(std::isnan(row.ipc()));
  CHECK(absl::StrContains(row.why(), "the timed code is not the counted one"));
  bool said = false;
  for (const std::string& note : costs.basis().notes()) said |= absl::StrContains(note, "ran other code");
  CHECK(said);
}

TEST_CASE("hundreds of regions in each other are told apart") {
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i) names.push_back(absl::StrCat("r", i));
  SyntheticPass pass(names, v1::CYCLES, 0.5);
  const uint32_t track = pass.Thread("w");
  for (uint32_t i = 0; i < 150; ++i) {
    pass.Did(track, i, 1000 * i, 100);
    pass.Did(track, 299 - i, 1000 * i + 10, 20);
  }
  TestJob job;
  job.Pass("scopes").Add(LaunchTable({{"k()", 1000, kCode}})).Trace(pass.Chunks());
  const auto costs = MakeRegionCosts(job.Gather(), {});
  REQUIRE(costs.ok());
  CHECK(costs->regions_size() == 300);
  for (const v1::RegionCost& row : costs->regions()) {
    CHECK(row.cycles_exclusive() == (row.parent().empty() ? 80 : 20));
    if (!row.parent().empty()) CHECK(std::stoi(row.region().substr(1)) + std::stoi(row.parent().substr(1)) == 299);
  }
}

TEST_CASE("NaN, columns that are missing and unreadable code do no harm") {
  TestJob job;
  job.Pass("scopes").Add(LaunchTable({{kKernel, 1000, kCode}})).Trace(Recorded({"w"}, 1).Chunks());
  table::Builder broken("sass_metrics");
  broken.Set(broken.Text("kernel"), kKernel);
  broken.Set(broken.Number("executed"), NAN);
  broken.Set(broken.Number("pc"), NAN);
  broken.EndRow();
  job.Pass("sassmetrics").Add(broken.Finish());
  job.Pass("pcsampling").Add(table::Builder("pc_samples").Finish());
  job.Pass("ir").Add(LaunchTable({{kKernel, 1000, kCode}})).Artifact("nested.c0dec0de.sass", "ir", "not SASS");
  const v1::RegionCosts costs = Costs(job);
  CHECK(Row(costs, "inner").cycles_total() == 162);
  bool said = false;
  for (const v1::Abstention& one : costs.basis().abstentions()) said |= absl::StrContains(one.why(), "SASS: the text has no instruction");
  CHECK(said);
}

TEST_CASE("warps that name no role and record the same regions are one") {
  const v1::RegionCosts costs = Costs(Whole({"", ""}));
  REQUIRE(costs.regions_size() == 5);
  const v1::RegionCost& inner = Row(costs, "inner");
  CHECK(inner.role() == "role 0 (outer, tail)");
  CHECK(inner.instances() == 36);
  CHECK(inner.instructions() == 396);
  CHECK(inner.confidence() == 1);
  CHECK(inner.cycles(0) == 9);
}

v1::DataTable CuTracer(int pairs) {
  table::Builder rows("instructions");
  const auto kernel = rows.Text("kernel");
  const auto launch = rows.Int("launch");
  const auto cta = rows.Int("cta");
  const auto warp = rows.Int("warp");
  const auto ordinal = rows.Int("ordinal");
  const auto opcode = rows.Text("opcode");
  const auto count = rows.Int("count");
  for (int w = 0; w < 2; ++w)
    for (int pair = 0; pair < pairs; ++pair) {
      rows.Set(kernel, kKernel);
      rows.Set(launch, 4);   // other kernels were launched before
      rows.Set(cta, -1);
      rows.Set(warp, w);
      rows.Set(ordinal, pair);
      rows.Set(opcode, "FFMA");
      rows.Set(count, pair < 2 ? 1000 : pair % 2 == 0 ? 10 : 20);
      rows.EndRow();
    }
  return rows.Finish();
}

TEST_CASE("CUTracer's counts are joined by ordinal from the tail, never by warp alone") {
  table::Builder launches("launches");
  launches.Set(launches.Text("kernel"), kKernel);
  for (const char* const name : {"launch", "block_x", "block_y", "block_z"})
    launches.Set(launches.Int(name), std::string(name) == "launch" ? 0 : std::string(name) == "block_x" ? 64 : 1);
  launches.EndRow();
  SyntheticPass recorded({"load", "mma"}, v1::CYCLES, 0.5);
  for (int warp = 0; warp < 2; ++warp) {
    const uint32_t thread = recorded.Thread("w", {.dropped = 4, .from_tail = true});
    for (int i = 0; i < 3; ++i) recorded.Did(thread, 0, 100 * i, 30).Did(thread, 1, 100 * i + 40, 50);
  }
  const v1::DataTable table = launches.Finish();
  TestJob good;
  good.Pass("proton").Add(table).Trace(recorded.Chunks());
  good.Pass("cutracer").Add(CuTracer(8));   // the first pair of each is lost in the recording
  const v1::RegionCosts costs = Costs(good);
  CHECK(Row(costs, "load").instructions() == 2 * 3 * 10);
  CHECK(Row(costs, "mma").instructions() == 2 * 3 * 20);
  CHECK(Row(costs, "mma").ipc() == Approx(120.0 / 300));
  CHECK(Row(costs, "mma").source() == "cutracer by ordinal");
  CHECK(Row(costs, "mma").confidence() == Approx(0.7));

  TestJob fewer;   // fewer pairs than instances: the codes differ
  fewer.Pass("proton").Add(table).Trace(recorded.Chunks());
  fewer.Pass("cutracer").Add(CuTracer(4));
  const v1::RegionCosts refused = Costs(fewer);
  CHECK(std::isnan(Row(refused, "mma").instructions()));
  bool said = false;
  for (const v1::Abstention& one : refused.basis().abstentions()) said |= absl::StrContains(one.why(), "not as many pairs");
  CHECK(said);
}

}  // namespace
}  // namespace sextant::analysis

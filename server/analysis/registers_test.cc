#include "server/analysis/registers.h"

#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/test_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

constexpr char kSpilling[] = R"(	.headerflags	@"EF_CUDA_SM90"
	.section	.text.k,"ax",@progbits
	//## File "/work/k.cu", line 3
        /*0000*/   LDC R1, c[0x0][0x28] ;
        /*0010*/   MOV R0, 0x1 ;
        /*0020*/   CS2R R2, SRZ ;
	//## File "/work/k.cu", line 4
        /*0030*/   STL.64 [R1], R2 ;
        /*0040*/   IMAD.WIDE R4, R0, 0x4, R2 ;
	//## File "/work/k.cu", line 5
        /*0050*/   LDL R6, [R1+0x4] ;
        /*0060*/   FADD R7, R6, R0 ;
        /*0070*/   STG.E.64 desc[UR4][R4.64], R6 ;
        /*0080*/   EXIT ;
)";

// A launch of 256 threads a block.
v1::DataTable Launch(int64_t registers, int64_t shared_bytes, double occupancy, const std::string& limiter, int64_t threads = 256) {
  table::Builder rows("launches");
  rows.Set(rows.Int("launch"), 0);
  rows.Set(rows.Text("kernel"), "k()");
  rows.Set(rows.Text("sass_digest"), "c0dec0de");
  rows.Set(rows.Int("duration_ns"), 1000);
  rows.Set(rows.Int("registers"), registers);
  rows.Set(rows.Int("static_shared_bytes"), 0);
  rows.Set(rows.Int("dynamic_shared_bytes"), shared_bytes);
  rows.Set(rows.Int("block_x"), threads);
  rows.Set(rows.Int("block_y"), 1);
  rows.Set(rows.Int("block_z"), 1);
  rows.Set(rows.Number("occupancy_pct"), occupancy);
  rows.Set(rows.Text("occupancy_limiter"), limiter);
  rows.EndRow();
  return rows.Finish();
}

v1::DataTable Counts() {
  table::Builder rows("sass_metrics");
  const auto kernel = rows.Text("kernel");
  const auto digest = rows.Text("sass_digest");
  const auto launch = rows.Int("launch");
  const auto pc = rows.Int("pc");
  const auto executed = rows.Int("executed");
  const auto threads = rows.Int("threads");
  const auto off = rows.Int("predicated_off");
  for (const int64_t at : {0x30, 0x50}) {
    rows.Set(kernel, "k()");
    rows.Set(digest, "c0dec0de");
    rows.Set(launch, 0);
    rows.Set(pc, at);
    rows.Set(executed, 10);
    rows.Set(threads, 320);
    rows.Set(off, at == 0x50 ? 20 : 0);
    rows.EndRow();
  }
  return rows.Finish();
}

v1::Registers Answer(TestJob& job) {
  const auto registers = MakeRegisters(job.Gather());
  INFO(registers.status().ToString());
  REQUIRE(registers.ok());
  return *registers;
}

const v1::OccupancyCase& Case(const v1::Registers& registers, const std::string& change) {
  for (const v1::OccupancyCase& one : registers.cases())
    if (one.change() == change) return one;
  FAIL("no case " << change);
  return registers.cases(0);
}

void OnH200(TestJob& job) { (*job->mutable_result()->mutable_provenance()->mutable_extra())["gpu"] = "NVIDIA H200"; }

TEST_CASE("what one register less and one block more would change is calculated") {
  TestJob job;
  job.Pass("activity").Add(Launch(72, 0, 37.5, "registers"));
  OnH200(job);
  const v1::Registers registers = Answer(job);
  CHECK(registers.registers() == 72);
  CHECK(registers.limiter() == "registers");
  CHECK(registers.blocks_per_sm() == 3);   // 8 warps of 72 × 32 registers: 65536 ÷ 18432
  CHECK(Case(registers, "−1 register a thread").blocks_per_sm() == 3);   // 71 are rounded up to 72
  CHECK(Case(registers, "+1 register a thread").blocks_per_sm() == 3);
  const v1::OccupancyCase& more = Case(registers, "+1 block an SM");
  CHECK(more.blocks_per_sm() == 4);
  CHECK(more.registers() == 64);
  CHECK(more.occupancy_pct() == 50);
  CHECK(more.needs() == "registers ≤ 64 (now 72)");
  CHECK(Case(registers, "as many registers as the same blocks allow").registers() == 80);
  CHECK(registers.basis().notes().empty());
}

TEST_CASE("where shared memory limits too, both are named; where blocks are full, smaller ones") {
  TestJob job;
  job.Pass("activity").Add(Launch(168, 100 * 1024, 12.5, "registers"));
  OnH200(job);
  const v1::Registers both = Answer(job);
  CHECK(both.blocks_per_sm() == 1);
  CHECK(Case(both, "+1 block an SM").registers() == 128);
  CHECK(Case(both, "+1 block an SM").needs() == "registers ≤ 128 (now 168)");   // two of 100 KiB fit into 228
  TestJob large;
  large.Pass("activity").Add(Launch(168, 150 * 1024, 12.5, "registers"));
  OnH200(large);
  CHECK(Case(Answer(large), "+1 block an SM").needs() ==
        "registers ≤ 128 (now 168) and shared memory ≤ 113.0 KiB a block (now 150.0)");
  TestJob full;
  full.Pass("activity").Add(Launch(16, 0, 100, "warps", 1024));
  OnH200(full);
  CHECK(absl::StartsWith(Case(Answer(full), "+1 block an SM").needs(), "smaller blocks: 2 of 1024 threads"));
}

TEST_CASE("spills are counted by line, in bytes of the threads that did them") {
  TestJob job;
  job.Pass("activity").Add(Launch(72, 0, 37.5, "registers"));
  OnH200(job);
  job.Pass("ir").Artifact("k.c0dec0de.sass", "ir", kSpilling);
  job.Pass("sassmetrics").Add(Counts());
  const v1::Registers registers = Answer(job);
  REQUIRE(registers.spills_size() == 2);
  CHECK(registers.spills(0).where() == "k.cu:4");
  CHECK(registers.spills(0).store());
  CHECK(registers.spills(0).bytes() == 320 * 8);
  CHECK(registers.spills(1).where() == "k.cu:5");
  CHECK(registers.spills(1).bytes() == 300 * 4);
  CHECK(registers.spills(1).executed() == 10);
  CHECK(registers.spill_bytes() == 320 * 8 + 300 * 4);
  CHECK(registers.max_live() == 4);   // R0 to R3; then R0, R1, R4, R5
  CHECK(registers.peak().where() == "k.cu:3");
  CHECK(registers.profile(0).live() == registers.max_live());

  TestJob uncounted;
  uncounted.Pass("activity").Add(Launch(72, 0, 37.5, "registers"));
  uncounted.Pass("ir").Artifact("k.c0dec0de.sass", "ir", kSpilling);
  const v1::Registers unknown = Answer(uncounted);
  CHECK(std::isnan(unknown.spill_bytes()));
  CHECK(std::isnan(unknown.spills(0).executed()));
  bool said = false;
  for (const v1::Abstention& one : unknown.basis().abstentions()) said |= one.pass() == "sassmetrics";
  CHECK(said);
}

TEST_CASE("without code or launches the answer says which passes have them") {
  TestJob job;
  job.Pass("pcsampling");
  const v1::Registers nothing = Answer(job);
  CHECK(nothing.max_live() == 0);
  CHECK(std::isnan(nothing.occupancy_pct()));
  CHECK(std::isnan(nothing.spill_bytes()));
  REQUIRE(nothing.basis().abstentions_size() == 2);
  CHECK(nothing.basis().abstentions(0).pass() == "ir");
  CHECK(nothing.basis().abstentions(1).pass() == "activity:light=1");
  TestJob unknown;   // a GPU whose limits are not known
  unknown.Pass("activity").Add(Launch(72, 0, 37.5, "registers"));
  const v1::Registers some = Answer(unknown);
  CHECK(some.occupancy_pct() == 37.5);
  CHECK(some.cases().empty());
}

}  // namespace
}  // namespace sextant::analysis

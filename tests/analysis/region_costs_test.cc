// What regions of recorded kernels cost.
#include "server/analysis/region_costs.h"

#include <map>

#include "absl/strings/match.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::RegionCosts CostsOf(const TestJob& job, const std::string& kernel) {
  v1::Subject subject;
  subject.set_kernel(kernel);
  const Evidence evidence = job.Gather(subject);
  const auto costs = MakeRegionCosts(evidence, {});
  INFO(costs.status().ToString());
  REQUIRE(costs.ok());
  return *costs;
}

// Of recordings of "h200" or "h100"; those of an H100 keep the lines of scopes.
v1::RegionCosts Costs(const std::string& example, const std::string& kernel, bool sources = false, const std::string& gpu = "h200") {
  TestJob job;
  if (sources) AddSources("examples/" + example, &job);
  AddRecordings("tests/recordings/" + gpu + "/" + example, &job,
                {"activity", "scopes", "proton", "sassmetrics", "pcsampling", "ir", "counters"});
  return CostsOf(job, kernel);
}

TEST_CASE("every region of a warp-specialised GEMM has its instructions, once each") {
  const v1::RegionCosts costs = Costs("gemm_ws", "gemm_ws");
  CHECK(costs.basis().abstentions().empty());
  std::map<std::string, v1::RegionCost> rows;
  for (const v1::RegionCost& row : costs.regions()) rows[row.role() + " " + row.region()] = row;
  REQUIRE(rows.size() == 6);
  double inside = 0;
  for (const auto& [name, row] : rows) {
    INFO(name);
    // As often as the scopes recorded it (a sixteenth of the CTAs, scaled) the counter saw it begin.
    CHECK(row.confidence() == 1);
    CHECK(row.why().empty());
    CHECK(row.ipc() > 0);
    CHECK(row.ipc() < 1);
    CHECK(row.instructions() == row.instructions_exclusive());
    inside += row.issue_share();
  }
  CHECK(inside > 0.7);
  CHECK(inside < 1);
  // An instance of `mma` takes a step of 64 along K, in HGMMAs of 16.
  const v1::RegionCost& mma = rows["consumer mma"];
  double tensor = 0;
  for (const v1::NamedShare& one : mma.mix())
    if (one.name() == "tensor") tensor = one.value();
  CHECK(tensor == 4 * static_cast<double>(mma.instances()));
  CHECK(mma.instances() == 32768);
  CHECK(absl::StrContains(rows["consumer store"].stalls(0).name(), "scoreboard"));
}

TEST_CASE("roles that run the same regions share the counts, and nothing is counted twice") {
  const v1::RegionCosts costs = Costs("truth_spins", "spins");
  double exclusive = 0;
  for (const v1::RegionCost& row : costs.regions()) exclusive += row.instructions_exclusive();
  CHECK(exclusive < costs.kernel_instructions());
  CHECK(exclusive > 0.9 * costs.kernel_instructions());   // the rest opens and closes the recording
  for (const v1::RegionCost& row : costs.regions()) {
    INFO(row.role() << " " << row.region() << " " << row.why());
    CHECK(row.confidence() == 0.5);   // both roles run the same code
  }
}

std::map<std::string, v1::RegionCost> ByRegion(const v1::RegionCosts& costs) {
  std::map<std::string, v1::RegionCost> rows;
  for (const v1::RegionCost& row : costs.regions()) {
    REQUIRE(rows.emplace(row.region(), row).second);
    INFO(row.region() << " " << row.why());
    CHECK(row.source() == "sassmetrics by source line");
    CHECK(row.ipc() > 0);
    CHECK(row.ipc() < 1);
    CHECK(row.confidence() > 0.6);
    CHECK(row.confidence() < 0.8);
    CHECK(row.stalls_size() > 0);
    CHECK(absl::StrContains(row.why(), "the compiler moves code over borders of regions; 0.0 % of the kernel's"));
  }
  return rows;
}

double Class(const v1::RegionCost& row, const std::string& name) {
  for (const v1::NamedShare& one : row.mix())
    if (one.name() == name) return one.value();
  return 0;
}

TEST_CASE("regions of a Triton kernel have instructions, by the lines of its source") {
  const v1::RegionCosts costs = Costs("triton_matmul", "matmul_kernel", /*sources=*/true);
  CHECK(costs.basis().abstentions().empty());
  auto rows = ByRegion(costs);
  REQUIRE(rows.size() == 4);
  CHECK(rows["load"].parent() == "mainloop");
  CHECK(rows["load"].code(0) == "kernel.py:24-28");
  CHECK(rows["dot"].code(0) == "kernel.py:29-32");
  CHECK(rows["mainloop"].instructions() ==
        rows["mainloop"].instructions_exclusive() + rows["load"].instructions() + rows["dot"].instructions());
  // 64 CTAs of 8 warps take 16 steps of 64 along K, each in four HGMMAs: all are in the main loop, wherever in it.
  CHECK(Class(rows["load"], "tensor") + Class(rows["dot"], "tensor") + Class(rows["mainloop"], "tensor") == 64 * 8 * 16 * 4);
  CHECK(rows["mainloop"].instructions() + rows["epilogue"].instructions() < costs.kernel_instructions());
  CHECK(Class(rows["epilogue"], "global") > 0);
  CHECK(Class(rows["load"], "copy") > 0);
}

TEST_CASE("code of functions that Triton's library brings belongs to the region that calls them") {
  auto rows = ByRegion(Costs("triton_attention", "attention_kernel", /*sources=*/true));
  REQUIRE(rows.size() == 4);
  // tl.max and tl.sum exchange values of lanes: SHFL, the class "warp", is in library lines alone.
  CHECK(Class(rows["softmax"], "warp") > 0);
  CHECK(Class(rows["softmax"], "special") > 0.9 * 278528);   // exponentials
  CHECK(rows["softmax"].issue_share() > 0.5);
}

TEST_CASE("regions of roles in Gluon are told apart by their lines") {
  auto rows = ByRegion(Costs("gluon_ws", "matmul_ws_kernel", /*sources=*/true));
  REQUIRE(rows.size() == 5);
  CHECK(rows["issue_loads"].instances() == 1024);
  CHECK(Class(rows["issue_loads"], "copy") == 3 * 1024);
  CHECK(rows["wait_empty"].ipc() < 0.02);
  CHECK(rows["mma"].role() == rows["wait_full"].role());
  CHECK(rows["mma"].role() != rows["issue_loads"].role());
}

TEST_CASE("what the compiler said of scopes on hardware gives the lines that the source does") {
  for (const auto& [example, kernel] : std::map<std::string, std::string>{
           {"triton_matmul", "matmul_kernel"}, {"triton_attention", "attention_kernel"}, {"gluon_ws", "matmul_ws_kernel"}}) {
    INFO(example);
    const v1::RegionCosts costs = Costs(example, kernel, /*sources=*/false, "h100");
    bool used = false;
    for (const v1::PassSet& set : costs.basis().passes()) used |= set.used_for() == "source lines of regions" && set.pass_ids_size() == 1;
    CHECK(used);
    auto from_compiler = ByRegion(costs), from_source = ByRegion(Costs(example, kernel, /*sources=*/true));
    CHECK(from_compiler.size() == from_source.size());
    for (const auto& [region, row] : from_source) {
      INFO(region);
      CHECK(from_compiler[region].code(0) == row.code(0));
      CHECK(from_compiler[region].instances() == row.instances());
    }
  }
}

TEST_CASE("scopes that an override wrote into the GPU dialect are around the lines of what they are around") {
  TestJob job;
  AddRecordings("tests/recordings/h100/triton_matmul", &job, {"activity", "sassmetrics", "pcsampling", "ir", "counters"});
  AddRecordings("tests/recordings/h100/triton_matmul_ttgir", &job);
  std::map<std::string, v1::RegionCost> rows;
  const v1::RegionCosts costs = CostsOf(job, "matmul_kernel");
  for (const v1::RegionCost& row : costs.regions()) rows[row.region()] = row;
  REQUIRE(rows.size() == 4);
  CHECK(Class(rows["mainloop"], "tensor") > 0);
  CHECK(rows["mainloop"].ipc() > 0);
  // tl.dot is one line: what issues the product and what waits for it cannot be told apart by lines.
  for (const char* const region : {"dot", "dot_wait"}) {
    INFO(region);
    CHECK(rows[region].code(0) == "kernel.py:30-30");
    CHECK(rows[region].confidence() == 0);
    CHECK(absl::StrContains(rows[region].why(), "their lines are in several regions"));
  }
}

TEST_CASE("Proton times a copy of the kernel: without its source, regions have times, and what would count is said") {
  const v1::RegionCosts costs = Costs("gluon_ws", "matmul_ws_kernel");
  REQUIRE_FALSE(costs.regions().empty());
  for (const v1::RegionCost& row : costs.regions()) {
    CHECK(row.cycles_total() > 0);
    CHECK(std::isnan(row.instructions()));
    CHECK_FALSE(row.why().empty());
  }
  REQUIRE(costs.basis().abstentions_size() == 1);
  CHECK(costs.basis().abstentions(0).pass() == "proton");
}

}  // namespace
}  // namespace sextant::analysis

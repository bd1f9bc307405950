// What regions of recorded kernels cost.
#include "server/analysis/region_costs.h"

#include <map>

#include "absl/strings/match.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::RegionCosts Costs(const std::string& example, const std::string& kernel) {
  TestJob job;
  AddRecordings("tests/recordings/h200/" + example, &job,
                {"activity", "scopes", "proton", "sassmetrics", "pcsampling", "ir", "counters"});
  v1::Subject subject;
  subject.set_kernel(kernel);
  const Evidence evidence = job.Gather(subject);
  const auto costs = MakeRegionCosts(evidence, {});
  INFO(costs.status().ToString());
  REQUIRE(costs.ok());
  return *costs;
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

TEST_CASE("Proton times a copy of the kernel: its regions have times, and say what would count") {
  const v1::RegionCosts costs = Costs("gluon_ws", "matmul_ws_kernel");
  for (const v1::PassSet& set : costs.basis().passes()) UNSCOPED_INFO(set.ShortDebugString());
  REQUIRE_FALSE(costs.regions().empty());
  for (const v1::RegionCost& row : costs.regions()) {
    CHECK(row.cycles_total() > 0);
    CHECK(std::isnan(row.instructions()));
    CHECK_FALSE(row.why().empty());
  }
}

}  // namespace
}  // namespace sextant::analysis

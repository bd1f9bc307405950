// What real passes left, as evidence.
#include "tests/analysis/recorded_job.h"

#include "absl/strings/match.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

TEST_CASE("the passes of a recorded GEMM are evidence about one kernel of one code") {
  TestJob job;
  AddRecordings("tests/recordings/h200/gemm_ws", &job);
  const Evidence evidence = job.Gather();
  CHECK(absl::StartsWith(evidence.kernels()[0].name, "check("));   // the program's own check takes longest
  CHECK(absl::StartsWith(evidence.kernel(), "gemm_ws("));          // but this one's regions were recorded
  CHECK(evidence.code().size() == 64);
  v1::Basis basis;
  evidence.Begin(&basis);
  CHECK(evidence.Take({"scopes", "proton"}, {.used_for = "time", .times = true, .trace = true}, &basis).size() >= 5);
  for (const char* const backend : {"sassmetrics", "pcsampling", "counters", "ir"})
    CHECK(evidence.Take({backend}, {}, &basis).size() == 1);
  CHECK_FALSE(evidence.CleanDurationsNs(&basis).empty());
  CHECK(basis.notes().empty());
  for (const v1::PassSet& set : basis.passes()) {
    INFO(set.backend() << " " << set.left_out());
    CHECK((set.left_out().empty() || set.backend() != "sassmetrics"));
  }
}

}  // namespace
}  // namespace sextant::analysis

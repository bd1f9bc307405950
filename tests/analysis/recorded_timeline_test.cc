// Roles, loops, overlap, occupancy and variation on recordings of an H200.
#include <cmath>

#include "server/analysis/aligner.h"
#include "server/analysis/loop_fold.h"
#include "server/analysis/occupancy.h"
#include "server/analysis/overlap.h"
#include "server/analysis/test_sample.h"
#include "server/analysis/traced_passes.h"
#include "server/analysis/variation.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

const std::vector<double> kQuantiles = {0.2, 0.5, 0.8};

std::shared_ptr<const TraceSample> SampleOfRecording(const Evidence& evidence, const char* backend) {
  v1::Basis basis;
  const PassList passes = TracedPasses(evidence, {backend}, "time", &basis);
  REQUIRE(!passes.empty());
  const auto sample = TestSamples()(evidence, passes);
  INFO(sample.status().ToString());
  REQUIRE(sample.ok());
  return *sample;
}

}  // namespace

TEST_CASE("the pipelined GEMM's roles fold to 32 iterations, and its loads are hidden under its multiplication") {
  TestJob job;
  AddRecordings("tests/recordings/h200/gemm_ws", &job);
  v1::Subject subject;
  subject.set_kernel("gemm_ws");
  const Evidence evidence = job.Gather(subject);
  const auto sample = SampleOfRecording(evidence, "scopes");
  CHECK(sample->whole());
  for (const v1::RoleLane& lane : Align(*sample, {.from_cta = true}, kQuantiles))
    CHECK(lane.alignment_confidence() > 0.99);
  const auto folds = FoldLoops(*sample, {}, kQuantiles);
  REQUIRE(folds.size() == 2);
  CHECK(folds[0].role() == "consumer");
  CHECK(std::vector<std::string>(folds[0].regions().begin(), folds[0].regions().end()) ==
        std::vector<std::string>{"wait full", "mma"});
  CHECK(folds[0].iterations() == 32);
  CHECK(folds[1].role() == "producer");
  CHECK(folds[1].iterations() == 32);
  CHECK(folds[1].prologue_iterations() >= 4);   // it runs ahead until the ring is full
  // Both go round the ring at the same pace.
  CHECK(folds[0].period_ns(1) == Approx(folds[1].period_ns(1)).epsilon(0.02));
  for (const v1::RoleOverlap& row : Overlaps(*sample))
    if (row.region() == "load" && row.other_region().empty()) CHECK(row.hidden_share() > 0.85);

  const auto variation = FindVariation(evidence, TestSamples());
  REQUIRE(variation.ok());
  CHECK(variation->regions_size() == 6);
  for (const v1::RegionVariation& region : variation->regions()) {
    double sum = 0;
    for (const v1::VarianceComponent& one : region.components()) sum += one.share();
    CHECK(sum == Approx(1));
  }

  const auto occupancy = FindOccupancy(evidence, TestSamples(), {});
  REQUIRE(occupancy.ok());
  CHECK(occupancy->ctas_seen() > 0);
  CHECK(occupancy->ctas_seen() <= occupancy->ctas());
  CHECK(occupancy->sms() <= 132);
  double most = 0;
  for (const double resident : occupancy->resident_ctas()) most = std::max(most, resident);
  CHECK(most <= occupancy->ctas_seen() + 1e-9);
  CHECK(occupancy->theoretical_occupancy_pct() > 0);
  REQUIRE(occupancy->waves_size() > 0);
}

TEST_CASE("attention's warps name no role and are one, whose loop is softmax between two products") {
  TestJob job;
  AddRecordings("tests/recordings/h200/triton_attention", &job, {"activity", "proton"});
  v1::Subject subject;
  subject.set_kernel("attention_kernel");
  const Evidence evidence = job.Gather(subject);
  const auto sample = SampleOfRecording(evidence, "proton");
  REQUIRE(sample->lanes.size() == 1);
  CHECK(sample->lanes[0].inferred);
  const auto folds = FoldLoops(*sample, {}, kQuantiles);
  REQUIRE(folds.size() == 1);
  CHECK(std::vector<std::string>(folds[0].regions().begin(), folds[0].regions().end()) ==
        std::vector<std::string>{"qk", "softmax", "pv"});
  CHECK(folds[0].iterations() == 16);
  CHECK(folds[0].steady_share() > 0.9);
  // Proton compiles the kernel anew: its passes are joined with each other.
  const auto variation = FindVariation(evidence, TestSamples());
  REQUIRE(variation.ok());
  CHECK(variation->regions_size() == 4);
}

}  // namespace sextant::analysis

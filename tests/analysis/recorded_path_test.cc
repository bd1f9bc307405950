// The critical path on recordings of an H200.
#include "server/analysis/critical_path.h"

#include "absl/strings/match.h"
#include "tests/analysis/recorded_job.h"
#include "tests/catch.h"

namespace sextant::analysis {
namespace {

v1::CriticalPath PathOf(const std::string& example, const std::string& kernel) {
  TestJob job;
  AddRecordings("tests/recordings/h200/" + example, &job, {"activity", "scopes", "proton"});
  v1::GetCriticalPathRequest request;
  request.mutable_subject()->set_kernel(kernel);
  const Evidence evidence = job.Gather(request.subject());
  auto path = FindCriticalPath(evidence, request);
  INFO(path.status().ToString());
  REQUIRE(path.ok());
  return *std::move(path);
}

TEST_CASE("the path through the pipelined GEMM goes round its ring, and ends in the store") {
  const v1::CriticalPath path = PathOf("gemm_ws", "gemm_ws");
  CHECK(path.basis().notes().empty());
  CHECK(path.basis().abstentions().empty());
  REQUIRE(path.paths_size() == 3);
  for (const v1::CriticalPathAt& at : path.paths()) {
    double on_path = 0, of_steps = 0;
    for (const v1::PathShare& share : at.shares()) on_path += share.share();
    CHECK(on_path == Approx(1));
    for (const v1::PathStep& step : at.steps()) of_steps += step.duration_ns();
    CHECK(of_steps == Approx(at.span_ns()).epsilon(1e-6));
    CHECK(at.steps_size() < 30);
    CHECK(at.steps(at.steps_size() - 1).region() == "store");
    // Load, copy, multiply, release: one round of the ring after the other.
    bool loop = false;
    for (const v1::PathStep& step : at.steps())
      loop |= step.repeats() >= 8 && step.region() == "wait full" && step.enters_by() == "full";
    CHECK(loop);
  }
  CHECK_FALSE(path.path_changes());
  REQUIRE(path.edges_size() == 2);
  CHECK(path.edges(0).barrier() == "full");
  CHECK(path.edges(0).from_role() == "producer");
  // 32 steps of 8 consumer warps; the first round of "empty" passes the fresh barrier.
  CHECK(path.edges(0).count() == path.ctas() * 32 * 8);
  CHECK(path.edges(1).count() == path.ctas() * (32 - 4));
  for (const v1::WhatIfResult& one : path.what_if()) {
    CHECK(one.predicted_ns() < one.span_ns());
    CHECK(one.speedup_pct() < (one.what().shorten_pct() > 99 ? 20 : 10));
  }
}

TEST_CASE("kernels whose warps neither wait nor signal have no path but advice") {
  for (const auto& [example, kernel] : {std::pair{"triton_matmul", "matmul_kernel"}, std::pair{"gluon_ws", ""}}) {
    INFO(example);
    const v1::CriticalPath path = PathOf(example, kernel);
    CHECK(path.paths().empty());
    REQUIRE(path.basis().abstentions_size() == 1);
    CHECK(absl::StrContains(path.basis().abstentions(0).why(), "Proton records regions, but neither"));
  }
}

}  // namespace
}  // namespace sextant::analysis

// What is left to save, and what of it a finding may promise.
#include "server/analysis/rules/units.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/diagnosis.h"
#include "server/analysis/rules/test_facts.h"

namespace sextant::analysis {
namespace {

TEST_CASE("a unit of working SMs leaves what it does not work, of the kernel's time") {
  Facts facts;   // 100 SMs, all of them busy nine tenths of the time
  facts.sms = 100;
  CHECK(LeftInside(facts).share == 1);
  CHECK(LeftInside(facts).why.empty());
  Set(&facts, kTensor, 50);
  CHECK(LeftInside(facts).share == Approx(0.5));
  Set(&facts, "sm__cycles_active.avg", 900, "cycles");
  Set(&facts, "sm__cycles_elapsed.max", 1000, "cycles");
  CHECK(LeftInside(facts).share == Approx(1 - 0.5 * 0.9));
  CHECK(LeftInside(facts).why == "the tensor pipe works 45 % of the kernel's time");
  Set(&facts, kDram, 46);   // of all cycles
  CHECK(LeftInside(facts).share == Approx(0.54));
}

TEST_CASE("SMs without a CTA leave more of the kernel's time than the ones that work") {
  Facts facts;
  facts.sms = 100;
  facts.ctas = MakeFact("activity", "CTAs", 50, "", {1});
  Set(&facts, kTensor, 80);
  Set(&facts, "sm__cycles_active.avg", 450, "cycles");   // mean over all SMs, half of which never work
  Set(&facts, "sm__cycles_elapsed.max", 1000, "cycles");
  CHECK(LeftInside(facts).share == Approx(1 - 0.8 * 0.9));
  CHECK(LeftOfAll(facts).share == Approx(1 - 0.8 * 0.45));
  CHECK(LeftFor(SavedFrom::kIdleSms, facts).share == LeftOfAll(facts).share);
  CHECK(LeftFor(SavedFrom::kWork, facts).share == 1);
}

TEST_CASE("the roofline leaves what the work does not take at it") {
  Facts facts;
  facts.roofline.emplace();
  auto* point = facts.roofline->add_points();
  point->set_share(0.62);
  CHECK(LeftInside(facts).share == 1);   // nothing is known to bound it
  point->set_bound_by("BF16 tensor");
  CHECK(LeftInside(facts).share == Approx(0.38));
  CHECK(absl::StrContains(LeftInside(facts).why, "BF16 tensor"));
  point->set_share(NAN);
  CHECK(LeftInside(facts).share == 1);
}

TEST_CASE("a saving is cut to what is left, and says so") {
  const Saving cut = Within({0.3, "the tensor pipe works 70 % of the kernel's time"}, {.least = 0.4, .most = 0.5, .formula = "its wait"});
  CHECK(cut.most == 0.3);
  CHECK(cut.least == 0.3);
  CHECK(cut.formula == "its wait; no more, because the tensor pipe works 70 % of the kernel's time");
  const Saving whole = Within({0.3, "x"}, {.most = 0.3, .formula = "its wait"});
  CHECK(whole.formula == "its wait");
  CHECK(std::isnan(Within({0.3, "x"}, {}).most));
  CHECK(SavingText(0, 0.12) == "at most 12 %");
  CHECK(SavingText(0.025, 0.12) == "2.5 to 12 %");
  CHECK(SavingText(0.12, 0.12) == "at most 12 %");
}

TEST_CASE("a share of a CTA's span is that of the kernel's time by its waves") {
  Facts facts;
  CHECK(OfKernel(facts, 0.2, 500) == 0.2);
  facts.clean_ns = MakeFact("activity", "launch", 1000, "ns", {1});
  CHECK(OfKernel(facts, 0.2, 500) == Approx(0.1));
  CHECK(OfKernel(facts, 0.2, 1500) == 0.2);   // the instrument made it longer
  facts.sms = 100;
  facts.ctas = MakeFact("activity", "CTAs", 150, "", {1});
  facts.ctas_per_sm = MakeFact("activity", "CTAs an SM holds", 1, "", {1});
  CHECK(OfKernel(facts, 0.2, 400) == Approx(0.2 * 0.8));
}

// Many findings about one kernel that waits.
Facts Waiting() {
  Facts facts = Idle();
  facts.ctas = MakeFact("activity", "CTAs", 50, "", {1});
  facts.registers.emplace().set_occupancy_pct(25);
  Set(&facts, "sm__warps_active.avg.pct_of_peak_sustained_active", 20);
  Set(&facts, "sm__inst_executed_pipe_tensor.sum", 1000, "instructions");
  Stall(&facts, "long_scoreboard", 0.5);
  Stall(&facts, "barrier", 0.4);
  return facts;
}

TEST_CASE("findings that save of the same time say so, and all together save less than the kernel") {
  const std::vector<Facts> kernels = {Waiting()};
  const v1::Diagnosis diagnosis = Diagnose(kernels, 20);
  double sum = 0;
  int rivals = 0;
  for (const v1::Finding& finding : diagnosis.findings()) {
    INFO(finding.rule());
    sum += finding.saves_share();
    const Left left = finding.rule() == "small-grid" ? LeftOfAll(kernels[0]) : LeftInside(kernels[0]);
    CHECK(finding.saves_share() <= left.share + 1e-9);
    const std::string last = finding.evidence(finding.evidence_size() - 1);
    if (finding.rule() == "small-grid") CHECK_FALSE(absl::StrContains(last, "not beside"));
    if (!absl::StrContains(last, "not beside")) continue;
    ++rivals;
    CHECK(absl::StrContains(last, absl::StrCat("together at most ", Percent(LeftInside(kernels[0]).share))));
  }
  CHECK(sum > 1);   // each alone
  CHECK(rivals >= 4);
  CHECK(absl::StrContains(diagnosis.verdict(), "all findings together at most"));
  const size_t at = diagnosis.verdict().rfind("at most ");
  CHECK(std::stod(diagnosis.verdict().substr(at + 8)) < 100);
}

TEST_CASE("what is more probably right comes before what might save a little more") {
  Facts facts = Idle();
  facts.ctas = MakeFact("activity", "CTAs", 55, "", {1});   // 45 %, sure
  Stall(&facts, "barrier", 0.5);                            // 50 %, not so sure
  const std::vector<Facts> kernels = {facts};
  const v1::Diagnosis diagnosis = Diagnose(kernels, 20);
  std::vector<std::string> order;
  for (const v1::Finding& finding : diagnosis.findings()) order.push_back(finding.rule());
  const auto place = [&](const char* rule) { return std::find(order.begin(), order.end(), rule) - order.begin(); };
  CHECK(place("small-grid") < place("barrier-imbalance"));
}

TEST_CASE("a kernel whose regions were recorded comes before one that takes more time") {
  Facts inside = Idle(), check = Idle();
  inside.kernel = "gemm";
  inside.share_of_gpu_time = 0.1;
  inside.clean_ns = MakeFact("activity", "launch", 29'000, "ns", {1});
  Set(&inside, kTensor, 70);
  inside.timeline.emplace().add_regions()->set_region("load");
  check.kernel = "check";
  check.share_of_gpu_time = 0.9;
  Set(&check, kDram, 90);
  const v1::Diagnosis diagnosis = Diagnose(std::vector<Facts>{inside, check}, 0);
  REQUIRE(diagnosis.findings_size() >= 2);
  CHECK(diagnosis.findings(0).kernel() == "gemm");
  CHECK(absl::StrContains(diagnosis.verdict(), "10 % of the GPU's time"));
}

}  // namespace
}  // namespace sextant::analysis

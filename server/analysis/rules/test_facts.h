// For tests of rules: facts, and what a rule makes of them.
#pragma once

#include <string>

#include "server/analysis/rules/rule.h"
#include "tests/catch.h"

namespace sextant::analysis {

inline constexpr char kDram[] = "dram__throughput.avg.pct_of_peak_sustained_elapsed";
inline constexpr char kTensor[] = "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active";
inline constexpr char kIssue[] = "smsp__issue_active.avg.pct_of_peak_sustained_active";

inline Judgement Judge(const std::string& rule, const Facts& facts) {
  for (const Rule& one : Rules()) {
    if (one.name != rule) continue;
    Judgement judgement;
    one.judge(facts, &judgement);
    return judgement;
  }
  FAIL("no rule " << rule);
  return {};
}

inline void Set(Facts* facts, const std::string& metric, double value, const std::string& unit = "%") {
  facts->metrics[metric] = MakeFact("counters", metric, value, unit, {7});
}
inline void Stall(Facts* facts, const std::string& reason, double share) {
  facts->stalls[reason] = MakeFact("counters", "stalled: " + reason, 100 * share, "%", {8});
  facts->stalls[reason].value = share;
}

// Units that are known and idle.
inline Facts Idle() {
  Facts facts;
  facts.kernel = "k";
  facts.sms = 100;
  Set(&facts, kDram, 10);
  Set(&facts, kTensor, 20);
  Set(&facts, kIssue, 30);
  return facts;
}

// The one finding, whose saving must be `saves` (NaN: not known).
inline v1::Finding Only(const Judgement& judgement, double saves) {
  REQUIRE(judgement.findings.size() == 1);
  CHECK(judgement.abstentions.empty());
  const v1::Finding& finding = judgement.findings.front();
  INFO(finding.claim());
  if (std::isnan(saves))
    CHECK(std::isnan(finding.saves_share()));
  else
    CHECK(finding.saves_share() == Approx(saves));
  CHECK(finding.try_this_size() >= 1);
  CHECK(finding.evidence_size() >= 1);
  CHECK(finding.pass_ids_size() >= 1);
  return finding;
}
inline void Nothing(const Judgement& judgement) {
  for (const auto& finding : judgement.findings) UNSCOPED_INFO(finding.claim());
  CHECK(judgement.findings.empty());
  CHECK(judgement.abstentions.empty());
}
inline void Abstains(const Judgement& judgement, const std::string& pass) {
  CHECK(judgement.findings.empty());
  REQUIRE(judgement.abstentions.size() == 1);
  CHECK(judgement.abstentions.front().pass() == pass);
  CHECK_FALSE(judgement.abstentions.front().why().empty());
}

}  // namespace sextant::analysis

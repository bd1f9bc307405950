// Whether numbers can be trusted: each rule on both sides of its threshold, and without what it needs.
#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/rules/test_facts.h"

namespace sextant::analysis {
namespace {

Facts AtClock(double now, double highest) {
  Facts facts;
  facts.held_back_known = true;
  facts.clock_mhz = MakeFact("scopes", "SM clock", now, "MHz", {4});
  facts.max_clock_mhz = MakeFact("NVML", "highest SM clock", highest, "MHz", {4});
  return facts;
}

Facts::HeldBack Held(const std::string& reason, double share) {
  return {reason, MakeFact("NVML", "held back", share, "", {4})};
}

TEST_CASE("a clock below the highest is no finding where the driver gives no reason") {
  Nothing(Judge("clock-throttling", AtClock(1759, 1980)));
  Facts unasked = AtClock(1759, 1980);
  unasked.held_back_known = false;
  Abstains(Judge("clock-throttling", unasked), "activity:light=1*5");
  Abstains(Judge("clock-throttling", Facts()), "activity:light=1*5");
}

TEST_CASE("clocks that were held back 1 % of the time are said, with the reason and what the full clock would save") {
  Facts facts = AtClock(1500, 2000);
  facts.held_back = {Held("power cap", 0.0099)};
  Nothing(Judge("clock-throttling", facts));
  facts.held_back = {Held("power cap", 0.01)};
  v1::Finding finding = Only(Judge("clock-throttling", facts), 0.25);
  CHECK(finding.confidence() == "high");
  CHECK(absl::StrContains(finding.claim(), "power cap, 1.0 % of the time"));
  CHECK(absl::StrContains(finding.try_this(0), "power limit"));
  facts.held_back = {Held("heat", 0.2)};
  CHECK(absl::StrContains(Only(Judge("clock-throttling", facts), 0.25).try_this(0), "cool"));
  // Without clocks the saving is not known.
  Facts unclocked;
  unclocked.held_back_known = true;
  unclocked.held_back = {Held("heat", 0.2)};
  Only(Judge("clock-throttling", unclocked), NAN);
}

TEST_CASE("a reason at the begin or end of a pass counts for less than time that was counted") {
  Facts facts = AtClock(1500, 2000);
  Facts::HeldBack boost{"sync boost", {}};
  boost.share.evidence = "NVML: sync boost (p9)";
  boost.share.pass_ids = {9};
  facts.held_back = {boost};
  const v1::Finding finding = Only(Judge("clock-throttling", facts), 0.25);
  CHECK(finding.confidence() == "medium");
  CHECK(absl::StrContains(finding.claim(), "sync boost"));
  CHECK(finding.evidence(finding.evidence_size() - 1) == "NVML: sync boost (p9)");
}

TEST_CASE("clocks that differ by more than 2 % between joined passes are said") {
  Facts facts = AtClock(1759, 1980);
  facts.clock_spread = MakeFact("scopes", "spread of the clock", 0.02, "", {4, 5});
  Nothing(Judge("uneven-clock", facts));
  facts.clock_spread.value = 0.021;
  Only(Judge("uneven-clock", facts), NAN);
  facts.clock_spread.value = NAN;
  Nothing(Judge("uneven-clock", facts));
}

TEST_CASE("noise above 10 %, and fewer than three clean launches, are said") {
  Facts facts;
  facts.kernel = "k";
  facts.clean_ns = MakeFact("activity:light=1", "launch", 100, "ns", {1});
  facts.clean_spread = MakeFact("activity:light=1", "spread", 0.11, "", {1});
  facts.clean_launches = 3;
  Only(Judge("noise", facts), NAN);
  facts.clean_spread.value = 0.1;
  Nothing(Judge("noise", facts));
  facts.clean_spread.value = NAN;   // launches of different shapes alone
  Nothing(Judge("noise", facts));
  facts.clean_launches = 2;
  Abstains(Judge("noise", facts), "activity:light=1*5");
}

TEST_CASE("passes that disturb the kernel are said") {
  Facts facts;
  auto& one = facts.perturbation.emplace_back();
  one.set_backend("scopes");
  one.set_ratio(1.3);
  one.add_pass_ids(4);
  one.set_verdict("ok");
  Nothing(Judge("perturbation", facts));
  Nothing(Judge("perturbation", Facts()));   // without clean launches there is no certificate
  one.set_verdict("flagged");
  Only(Judge("perturbation", facts), NAN);
}

}  // namespace
}  // namespace sextant::analysis

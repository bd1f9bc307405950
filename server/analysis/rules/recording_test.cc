// What the timeline says of itself: each rule on both sides of its threshold, and without what it needs.
#include <cmath>

#include "absl/strings/match.h"
#include "server/analysis/rules/test_facts.h"

namespace sextant::analysis {
namespace {

// Four passes; role "producer" with "load" (P20 90, P50 100, P80 110 ns, in all 3 µs) and "wait" (1 µs).
Facts WithTimeline() {
  Facts facts;
  facts.kernel = "k";
  v1::Timeline& timeline = facts.timeline.emplace();
  for (const double q : {0.2, 0.5, 0.8}) timeline.add_quantiles(q);
  timeline.set_passes(4);
  timeline.set_events(400);
  for (const double ns : {1000, 1010, 1020}) timeline.add_span_ns(ns);
  auto* set = timeline.add_pass_sets();
  for (int64_t id = 3; id < 7; ++id) set->add_pass_ids(id);
  for (const auto& [name, sum] : {std::pair{"load", 3000.0}, std::pair{"wait", 1000.0}}) {
    auto* region = timeline.add_regions();
    region->set_role("producer");
    region->set_region(name);
    region->set_count(40);
    region->set_sum_ns(sum);
    for (const double ns : {90, 100, 110}) region->add_duration_ns(ns);
  }
  auto* lane = timeline.add_lanes();
  lane->set_role("producer");
  lane->set_alignment_confidence(1);
  return facts;
}

// A finding that advises nothing.
v1::Finding Says(const Judgement& judgement) {
  REQUIRE(judgement.findings.size() == 1);
  CHECK(judgement.abstentions.empty());
  const v1::Finding& finding = judgement.findings.front();
  CHECK(std::isnan(finding.saves_share()));
  REQUIRE(finding.evidence_size() >= 1);
  CHECK(finding.pass_ids_size() == 4);
  return finding;
}

TEST_CASE("the region with the largest share of its role's time is named, nested ones apart") {
  Facts facts = WithTimeline();
  v1::Finding finding = Says(Judge("largest-region", facts));
  CHECK(finding.region() == "load");
  CHECK(absl::StrContains(finding.claim(), "75 %"));
  // Were it nested in the other, its time would be counted with that one's.
  auto* stat = facts.timeline->mutable_lanes(0)->add_instances();
  stat->set_region("load");
  stat->set_depth(1);
  CHECK(Says(Judge("largest-region", facts)).region() == "wait");
  for (auto& region : *facts.timeline->mutable_regions()) region.set_sum_ns(0);
  Nothing(Judge("largest-region", facts));
  for (auto& region : *facts.timeline->mutable_regions()) region.set_sum_ns(NAN);
  Nothing(Judge("largest-region", facts));
  facts.timeline->clear_regions();
  Nothing(Judge("largest-region", facts));
  Nothing(Judge("largest-region", Facts()));
}

TEST_CASE("a region spreads whose quantiles lie more than a quarter of the median apart, in ten instances or more") {
  Facts facts = WithTimeline();
  Nothing(Judge("spread-region", facts));   // 20 %
  v1::RegionAggregate* load = facts.timeline->mutable_regions(0);
  load->set_duration_ns(2, 115);            // 25 %
  Nothing(Judge("spread-region", facts));
  load->set_duration_ns(2, 115.1);
  v1::Finding finding = Says(Judge("spread-region", facts));
  CHECK(finding.region() == "load");
  CHECK(finding.confidence() == "medium");
  load->set_count(100);
  CHECK(Says(Judge("spread-region", facts)).confidence() == "high");
  load->set_count(9);
  Nothing(Judge("spread-region", facts));
  load->set_count(10);
  Says(Judge("spread-region", facts));
  Facts known = facts;                      // varying-region knows more
  known.variation.emplace();
  Nothing(Judge("spread-region", known));
  load->set_duration_ns(2, NAN);
  Nothing(Judge("spread-region", facts));
  load->set_duration_ns(2, 200);
  load->set_duration_ns(1, 0);
  Nothing(Judge("spread-region", facts));
  facts.timeline->clear_quantiles();
  Nothing(Judge("spread-region", facts));
  Nothing(Judge("spread-region", Facts()));
}

TEST_CASE("records that were lost are counted") {
  Facts facts = WithTimeline();
  Nothing(Judge("lost-records", facts));
  facts.timeline->set_dropped(1);
  const v1::Finding finding = Says(Judge("lost-records", facts));
  CHECK(finding.claim() == "1 record was lost to full buffers: counts and sums are too small");
  CHECK(finding.try_this_size() == 1);
  Nothing(Judge("lost-records", Facts()));
}

TEST_CASE("passes differ whose spans lie more than a tenth of the median apart, of three or more") {
  Facts facts = WithTimeline();
  Nothing(Judge("unequal-passes", facts));
  facts.timeline->set_span_ns(2, 1101);   // exactly a tenth
  Nothing(Judge("unequal-passes", facts));
  facts.timeline->set_span_ns(2, 1102);
  CHECK(Says(Judge("unequal-passes", facts)).confidence() == "medium");
  facts.timeline->set_passes(10);
  CHECK(Says(Judge("unequal-passes", facts)).confidence() == "high");
  facts.timeline->set_passes(2);
  Nothing(Judge("unequal-passes", facts));
  facts.timeline->set_passes(3);
  Says(Judge("unequal-passes", facts));
  facts.timeline->set_origin(v1::SINCE_CTA);   // of launches: the host's pace
  Nothing(Judge("unequal-passes", facts));
  facts.timeline->clear_origin();
  facts.timeline->set_span_ns(0, NAN);
  Nothing(Judge("unequal-passes", facts));
  facts.timeline->clear_span_ns();
  Nothing(Judge("unequal-passes", facts));
  Nothing(Judge("unequal-passes", Facts()));
}

TEST_CASE("roles whose instances cannot be matched over passes are named") {
  Facts facts = WithTimeline();
  facts.timeline->mutable_lanes(0)->set_alignment_confidence(0.9);
  Nothing(Judge("alignment", facts));
  facts.timeline->mutable_lanes(0)->set_alignment_confidence(0.899);
  facts.timeline->mutable_lanes(0)->set_alignment("tiles move");
  CHECK(absl::StrContains(Says(Judge("alignment", facts)).evidence(0), "tiles move"));
  facts.timeline->mutable_lanes(0)->set_alignment_confidence(NAN);
  Nothing(Judge("alignment", facts));
  Nothing(Judge("alignment", Facts()));
}

}  // namespace
}  // namespace sextant::analysis

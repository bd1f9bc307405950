// What the statistical timeline itself says: where the time is, what was lost, how well passes agree.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr double kPassesDiffer = 0.10;        // (highest − lowest quantile) ÷ median of the recorded span
constexpr uint32_t kEnoughPasses = 3;
constexpr double kVaries = 0.25;              // of a region's duration
constexpr uint64_t kEnoughInstances = 10;
constexpr double kAligned = 0.9;


std::vector<int64_t> PassesOf(const v1::Timeline& timeline) {
  std::vector<int64_t> ids;
  for (const v1::PassSet& set : timeline.pass_sets())
    if (set.left_out().empty()) ids.insert(ids.end(), set.pass_ids().begin(), set.pass_ids().end());
  return ids;
}

int MedianAt(const v1::Timeline& timeline) {
  int best = 0;
  for (int i = 0; i < timeline.quantiles_size(); ++i)
    if (std::abs(timeline.quantiles(i) - 0.5) < std::abs(timeline.quantiles(best) - 0.5)) best = i;
  return best;
}

void LargestRegion(const Facts& facts, Judgement* out) {
  if (!facts.timeline) return;
  // Regions nest, so shares are of the time of outermost instances alone where these are known.
  std::set<std::pair<std::string, std::string>> nested;
  for (const auto& lane : facts.timeline->lanes())
    for (const auto& stat : lane.instances())
      if (stat.depth() > 0) nested.insert({lane.role(), stat.region()});
  std::map<std::string, double> of_role;
  const v1::RegionAggregate* largest = nullptr;
  for (const auto& region : facts.timeline->regions()) {
    if (nested.contains({region.role(), region.region()})) continue;
    of_role[region.role()] += region.sum_ns();
    if (largest == nullptr || region.sum_ns() > largest->sum_ns()) largest = &region;
  }
  if (largest == nullptr || !(of_role[largest->role()] > 0)) return;
  const double share = largest->sum_ns() / of_role[largest->role()];
  Fact fact;
  fact.value = share;
  fact.pass_ids = PassesOf(*facts.timeline);
  fact.evidence = absl::StrCat("timeline: ", largest->region(), ", ", Count(largest->count()), " instances, ",
                               Duration(largest->sum_ns()), " in all (", PassNames(fact.pass_ids), ")");
  out->Say(absl::StrFormat("Region %s takes the largest share of the time recorded in %s: %.0f %%", largest->region(),
                           RoleWords(largest->role()), 100 * share),
           "high", {}, {&fact})
      ->set_region(largest->region());
}

void SpreadRegion(const Facts& facts, Judgement* out) {
  if (!facts.timeline || facts.variation || facts.timeline->quantiles_size() < 3) return;   // varying-region knows more
  const int median = MedianAt(*facts.timeline);
  const v1::RegionAggregate* variable = nullptr;
  double widest = kVaries;
  for (const auto& region : facts.timeline->regions()) {
    const int last = region.duration_ns_size() - 1;
    if (region.count() < kEnoughInstances || last < median || !(region.duration_ns(median) > 0)) continue;
    const double spread = (region.duration_ns(last) - region.duration_ns(0)) / region.duration_ns(median);
    if (!(spread > widest)) continue;
    widest = spread;
    variable = &region;
  }
  if (variable == nullptr) return;
  Fact fact;
  fact.value = widest;
  fact.pass_ids = PassesOf(*facts.timeline);
  fact.evidence = absl::StrCat("timeline: ", variable->region(), " lowest quantile ", Duration(variable->duration_ns(0)), ", median ",
                               Duration(variable->duration_ns(median)), ", highest ",
                               Duration(variable->duration_ns(variable->duration_ns_size() - 1)), " over ", Count(variable->count()),
                               " instances (", PassNames(fact.pass_ids), ")");
  out->Say(absl::StrCat("Region ", variable->region(), " of ", RoleWords(variable->role()), " varies most"),
           variable->count() >= 100 ? "high" : "medium", {}, {&fact})
      ->set_region(variable->region());
}

void LostRecords(const Facts& facts, Judgement* out) {
  if (!facts.timeline || facts.timeline->dropped() == 0) return;
  Fact fact;
  fact.value = static_cast<double>(facts.timeline->dropped());
  fact.pass_ids = PassesOf(*facts.timeline);
  fact.evidence = absl::StrCat("timeline: ", Count(facts.timeline->dropped()), " lost, ", Count(facts.timeline->events()), " kept (",
                               PassNames(fact.pass_ids), ")");
  out->Say(absl::StrCat(Count(facts.timeline->dropped()), facts.timeline->dropped() == 1 ? " record was" : " records were",
                        " lost to full buffers: counts and sums are too small"), "high",
           {}, {&fact})
      ->add_try_this("record fewer regions, or give the backend larger buffers (scopes: records=4096)");
}

void PassesDiffer(const Facts& facts, Judgement* out) {
  if (!facts.timeline) return;
  const v1::Timeline& timeline = *facts.timeline;
  const int median = MedianAt(timeline);
  if (timeline.origin() == v1::SINCE_CTA) return;   // between launches the host sets the pace; noise has the kernel's own
  if (timeline.span_ns_size() < 3 || timeline.passes() < kEnoughPasses || !(timeline.span_ns(median) > 0)) return;
  Fact fact;
  fact.value = (timeline.span_ns(timeline.span_ns_size() - 1) - timeline.span_ns(0)) / timeline.span_ns(median);
  if (!(fact.value > kPassesDiffer)) return;
  fact.pass_ids = PassesOf(timeline);
  fact.evidence = absl::StrCat("timeline: span ", Duration(timeline.span_ns(0)), " to ",
                               Duration(timeline.span_ns(timeline.span_ns_size() - 1)), " over ", timeline.passes(), " passes (",
                               PassNames(fact.pass_ids), ")");
  out->Say(absl::StrCat("The passes differ much in length: the recorded span spreads by ", Percent(fact.value)),
           timeline.passes() >= 10 ? "high" : "medium", {}, {&fact})
      ->add_try_this("more passes; keep other work off the machine");
}

void Alignment(const Facts& facts, Judgement* out) {
  if (!facts.timeline) return;
  for (const auto& lane : facts.timeline->lanes()) {
    if (!(lane.alignment_confidence() < kAligned)) continue;
    Fact fact;
    fact.value = lane.alignment_confidence();
    fact.pass_ids = PassesOf(*facts.timeline);
    fact.evidence = absl::StrCat("timeline: ", lane.alignment());
    out->Say(absl::StrFormat("Instances of %s can be compared over passes only in part (alignment confidence %.2f)", RoleWords(lane.role()),
                             lane.alignment_confidence()),
             "high", {}, {&fact});
  }
}

constexpr Rule kRules[] = {
    {"largest-region", "the largest sum of a role's outermost regions", SavedFrom::kNothing, LargestRegion},
    {"spread-region", "(highest − lowest quantile) ÷ median above 0.25, 10 instances or more", SavedFrom::kNothing, SpreadRegion},
    {"lost-records", "records lost to full buffers", SavedFrom::kNothing, LostRecords},
    {"unequal-passes", "(highest − lowest quantile) ÷ median of the span above 0.1, 3 passes or more", SavedFrom::kNothing, PassesDiffer},
    {"alignment", "alignment confidence below 0.9 (aligner.h)", SavedFrom::kNothing, Alignment},
};

}  // namespace

absl::Span<const Rule> RecordingRules() { return kRules; }

}  // namespace sextant::analysis

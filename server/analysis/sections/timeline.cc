// Regions over time: quantiles of every instance over passes, and what regions take in all.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/analysis/pictures/text_pictures.h"
#include "server/analysis/pictures/timeline_picture.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

std::string RoleText(const std::string& role) { return role.empty() ? "(unnamed)" : Shown(role); }

}  // namespace

void WriteTimeline(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.timeline || facts.timeline->regions().empty()) continue;
    const v1::Timeline& timeline = *facts.timeline;
    for (const std::string& note : timeline.notes()) out->add_notes(note);
    v1::Basis basis;
    for (const v1::PassSet& set : timeline.pass_sets()) *basis.add_passes() = set;
    StandsOn(basis, out);
    Say(out, absl::StrCat(inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": ") : "", timeline.passes(),
                          timeline.passes() == 1 ? " pass" : " passes", " joined, ", Count(timeline.events()),
                          " instances recorded",
                          timeline.dropped() > 0 ? absl::StrCat(", ", Count(timeline.dropped()), " lost") : "", "."));
    if (std::any_of(timeline.lanes().begin(), timeline.lanes().end(),
                    [](const v1::RoleLane& lane) { return !lane.instances().empty(); })) {
      v1::Picture* picture = out->add_pictures();
      picture->set_name(absl::StrCat("timeline-", out->pictures_size()));
      picture->set_caption(absl::StrCat("Regions of ", KernelTitle(facts.kernel),
                                        " from their median start to their median end, with P20 and P80 of both, counted from ",
                                        timeline.origin() == v1::SINCE_CTA ? "the begin of the CTA" : "the begin of the pass"));
      picture->set_svg(DrawStatisticalTimeline(timeline));
      AddText(inputs, facts, "median instances; the darker, the more of a column they cover", TextTimeline(timeline), out);
    }

    TableWriter regions(out, TableName(inputs, facts, "regions"));
    regions.Column("role").Column("region").Column("count");
    for (const double q : timeline.quantiles()) regions.Column(absl::StrCat("P", std::lround(100 * q)));
    regions.Column("sum").Column("least").Column("most").Column("± error");
    std::vector<const v1::RegionAggregate*> order;
    for (const auto& region : timeline.regions()) order.push_back(&region);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto* a, const auto* b) { return a->sum_ns() > b->sum_ns(); });
    for (const v1::RegionAggregate* region : order) {
      std::vector<std::string> cells = {RoleText(region->role()), Shown(region->region()), Count(region->count())};
      for (const double value : region->duration_ns()) cells.push_back(Duration(value));
      cells.push_back(Duration(region->sum_ns()));
      cells.push_back(Duration(region->min_ns()));
      cells.push_back(Duration(region->max_ns()));
      cells.push_back(Percent(region->relative_error()));
      regions.Row(cells);
    }
    regions.End(out);

    TableWriter roles(out, TableName(inputs, facts, "roles"));
    roles.Column("role").Column("warps or threads").Column("alignment confidence").Column("how they were aligned");
    for (const v1::RoleLane& lane : timeline.lanes())
      roles.Row({RoleText(lane.role()), absl::StrCat(lane.tracks()), Figure(lane.alignment_confidence()), lane.alignment()});
    roles.End(out);
  }
}

}  // namespace sextant::analysis

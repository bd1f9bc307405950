// The steady state of repeated sequences, and what of a role's time is hidden under another's.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownOverlaps = 24;
constexpr double kShownHidden = 0.05;   // under one region of the other role

// Where the median (or what is next to it) stands among the quantiles.
int MedianAt(const v1::Timeline& timeline) {
  int best = 0;
  for (int i = 0; i < timeline.quantiles_size(); ++i)
    if (std::abs(timeline.quantiles(i) - 0.5) < std::abs(timeline.quantiles(best) - 0.5)) best = i;
  return best;
}

std::string At(const google::protobuf::RepeatedField<double>& values, int index) {
  return index < values.size() ? Duration(values.Get(index)) : "–";
}

}  // namespace

void WriteLoops(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.timeline) continue;
    const v1::Timeline& timeline = *facts.timeline;
    const int median = MedianAt(timeline);
    v1::Basis basis;
    for (const v1::PassSet& set : timeline.pass_sets()) *basis.add_passes() = set;
    if (!timeline.loops().empty()) {
      StandsOn(basis, out);
      TableWriter loops(out, TableName(inputs, facts, "loops, medians"));
      loops.Column("role").Column("an iteration").Column("iterations").Column("period").Column("prologue")
          .Column("steady").Column("epilogue").Column("steady share");
      for (const v1::LoopFold& loop : timeline.loops()) {
        loops.Row({Shown(loop.role()), Shown(absl::StrJoin(loop.regions(), " → ")), Count(loop.iterations()),
                   At(loop.period_ns(), median), At(loop.prologue_ns(), median), At(loop.steady_ns(), median),
                   At(loop.epilogue_ns(), median), ShareText(loop.steady_share())});
      }
      loops.End(out);
      const v1::LoopFold& first = timeline.loops(0);
      Say(out, absl::StrCat(Shown(RoleWords(first.role())), " repeats ", Shown(absl::StrJoin(first.regions(), " → ")), " ",
                            Count(first.iterations()), " times, every ", At(first.period_ns(), median), "."));
    }
    if (timeline.overlaps().empty()) continue;
    StandsOn(basis, out);
    TableWriter overlaps(out, TableName(inputs, facts, "overlap of roles"));
    overlaps.set_most(kShownOverlaps);
    overlaps.Column("region").Column("while").Column("busy").Column("hidden").Column("exposed");
    std::vector<const v1::RoleOverlap*> order;
    for (const v1::RoleOverlap& one : timeline.overlaps())
      if (one.other_region().empty() || one.hidden_share() >= kShownHidden) order.push_back(&one);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::make_pair(!a->other_region().empty(), -a->busy_ns()) <
             std::make_pair(!b->other_region().empty(), -b->busy_ns());
    });
    for (const v1::RoleOverlap* one : order)
      overlaps.Row({absl::StrCat(Shown(one->role()), "/", Shown(one->region())),
                    absl::StrCat(Shown(one->other_role()), "/",
                                 one->other_region().empty() ? "anything" : Shown(one->other_region())),
                    Duration(one->busy_ns()), ShareText(one->hidden_share()), Duration(one->exposed_ns())});
    overlaps.End(out);
  }
}

}  // namespace sextant::analysis

// Which regions spread, where the spread comes from, and what goes with it.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownRegions = 20;

}  // namespace

void WriteVariation(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.variation) continue;
    const v1::Variation& variation = *facts.variation;
    // Of a kernel that nobody looked into, that nothing was recorded says nothing.
    if (variation.regions().empty() && &facts != &inputs.kernels.front()) continue;
    NotesOf(inputs, facts, variation.basis(), out);
    if (variation.regions().empty()) continue;
    StandsOn(variation.basis(), out);
    TableWriter table(out, TableName(inputs, facts, "variation of regions"));
    table.set_most(kShownRegions);
    table.Column("role").Column("region").Column("count").Column("P50").Column("(P80 − P20) ÷ P50").Column("between")
        .Column("modes").Column("goes with").Column("time share");
    for (const v1::RegionVariation& one : variation.regions()) {
      std::string between, with, modes;
      for (const v1::VarianceComponent& part : one.components())
        if (part.share() >= 0.1)
          absl::StrAppend(&between, between.empty() ? "" : ", ", Shown(part.source()), absl::StrFormat(" %.0f %%", 100 * part.share()));
      for (const v1::Association& part : one.goes_with())
        if (part.p_value() < 0.01 && std::abs(part.correlation()) >= 0.2)
          absl::StrAppend(&with, with.empty() ? "" : ", ", Shown(part.with()), absl::StrFormat(" %.2f", part.correlation()));
      if (one.bimodal())
        for (const double mode : one.modes_ns()) absl::StrAppend(&modes, modes.empty() ? "" : " and ", Duration(mode));
      table.Row({Shown(one.role()), Shown(one.region()), Count(one.count()), Duration(one.median_ns()), Figure(one.spread()),
                 between, modes, with, ShareText(one.time_share())});
    }
    table.End(out);
    const v1::RegionVariation& first = variation.regions(0);
    Say(out, absl::StrCat(inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": ") : "", "\"",
                          Shown(first.region()), "\" of ", Shown(RoleWords(first.role())), " spreads most: by ",
                          ShareText(first.spread()), " of its median."));
  }
}

}  // namespace sextant::analysis

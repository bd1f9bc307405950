// What warps wait for, by reason.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownStalls = 12;

}  // namespace

void WriteStalls(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    std::vector<std::pair<std::string, const Fact*>> stalls;
    for (const auto& [reason, fact] : facts.stalls)
      if (fact.known() && fact.value > 0) stalls.push_back({reason, &fact});
    if (stalls.empty()) continue;
    std::stable_sort(stalls.begin(), stalls.end(),
                     [](const auto& a, const auto& b) { return a.second->value > b.second->value; });
    TableWriter table(out, TableName(inputs, facts, "stall reasons"));
    table.set_most(kShownStalls);
    table.Column("reason").Column("share of warp time").Column("from");
    for (const auto& [reason, fact] : stalls) {
      table.Row({reason == "selected" ? "(issuing)" : Shown(reason), ShareText(fact->value), fact->evidence});
      StandsOn(*fact, out);
    }
    table.End(out);
    for (const auto& [reason, fact] : stalls) {
      if (reason == "selected") continue;
      Say(out, absl::StrCat(inputs.kernels.size() > 1 ? absl::StrCat(KernelTitle(facts.kernel), ": warps wait most for ") : "Warps wait most for ",
                            Shown(reason), ", ", Percent(fact->value), " of their time."));
      break;
    }
  }
}

}  // namespace sextant::analysis

// Hardware counters of a launch.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kShownCounters = 120;

}  // namespace

void WriteCounters(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (facts.metrics.empty()) continue;
    TableWriter table(out, TableName(inputs, facts, "counters of a launch, median over launches and passes"));
    table.set_most(kShownCounters);
    table.Column("counter").Column("value").Column("passes");
    for (const auto& [name, fact] : facts.metrics) {
      if (absl::StartsWith(name, "smsp__average_warps_issue_stalled_")) continue;   // in section stalls
      const std::string after = fact.evidence.substr(std::min(fact.evidence.size(), fact.evidence.find(": ") + 2));
      table.Row({Shown(name), after.substr(0, after.rfind(" (")), PassNames(fact.pass_ids)});
      StandsOn(fact, out);
    }
    table.End(out);
  }
  if (!out->tables().empty()) Say(out, "What the hardware counted in a launch.");
}

}  // namespace sextant::analysis

// What bounds each kernel: how busy its units are, and how long it takes.
#include "absl/strings/str_cat.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/rules/units.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {

void WriteBottleneck(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    const auto memory = MemoryUse(facts), compute = ComputeUse(facts);
    if (memory.empty() && compute.empty() && !facts.clean_ns.known()) continue;
    TableWriter table(out, TableName(inputs, facts, "use of units"));
    table.Column("what").Column("value").Column("from");
    if (facts.clean_ns.known()) {
      table.Row({"a launch takes (P50)", Duration(facts.clean_ns.value), facts.clean_ns.evidence});
      table.Row({"clean launches spread by", Percent(facts.clean_spread.value), facts.clean_spread.evidence});
      StandsOn(facts.clean_ns, out);
    }
    for (const auto* uses : {&compute, &memory})
      for (const UnitUse& use : *uses) {
        table.Row({absl::StrCat(use.unit, " busy"), Percent(use.percent() / 100), use.fact->evidence});
        StandsOn(*use.fact, out);
      }
    if (facts.clock_mhz.known())
      table.Row({"SM clock", absl::StrCat(Figure(facts.clock_mhz.value), " MHz"), facts.clock_mhz.evidence});
    if (&facts != &inputs.kernels.front()) {   // of the machine: once
      table.End(out);
      continue;
    }
    if (facts.max_clock_mhz.known())
      table.Row({"highest SM clock seen", absl::StrCat(Figure(facts.max_clock_mhz.value), " MHz"), facts.max_clock_mhz.evidence});
    if (facts.held_back_known && facts.held_back.empty())
      table.Row({"clocks held back", "no", "the driver gave no reason, and counted no time, in any pass that timed kernels"});
    for (const Facts::HeldBack& one : facts.held_back)
      table.Row({absl::StrCat("clocks held back: ", one.reason), one.share.known() ? Percent(one.share.value) : "–", one.share.evidence});
    table.End(out);
  }
}

}  // namespace sextant::analysis

// All kernels of the task by the time they take.
#include "absl/strings/str_cat.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {

void WriteKernels(const ReportInputs& inputs, v1::ReportSection* out) {
  if (inputs.kernel_times.empty()) return;
  TableWriter table(out, "kernels");
  table.set_most(25);
  table.Column("kernel").Column("a pass").Column("share");
  for (const v1::NamedShare& one : inputs.kernel_times)
    table.Row({Shown(one.name()), Duration(one.value()), ShareText(one.share())});
  table.End(out);
  Say(out, absl::StrCat(inputs.kernel_times.size(),
                        inputs.kernel_times.size() == 1 ? " kernel was launched." : " kernels were launched."));
  for (const Facts& facts : inputs.kernels) {
    if (!facts.idle_share.known()) continue;
    Say(out, absl::StrCat("Gaps of less than 100 µs between them are ", Percent(facts.idle_share.value), " of their time and the gaps'."));
    StandsOn(facts.idle_share, out);
    break;
  }
}

}  // namespace sextant::analysis

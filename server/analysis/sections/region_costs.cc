// Instructions per region over its cycles, with mix and stalls.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

std::string Number(double value) { return std::isnan(value) ? "–" : Figure(value); }

}  // namespace

void WriteRegionCosts(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.costs) continue;
    const v1::RegionCosts& costs = *facts.costs;
    // Of a kernel that nobody looked into, that nothing was recorded says nothing.
    if (costs.regions().empty() && &facts != &inputs.kernels.front()) continue;
    NotesOf(inputs, facts, costs.basis(), out);
    if (costs.regions().empty()) continue;
    StandsOn(costs.basis(), out);
    if (!std::isnan(costs.kernel_instructions()) && costs.kernel_instructions() > 0)
      Say(out, absl::StrCat(KernelTitle(facts.kernel), " executes ", Number(costs.kernel_instructions()),
                            " warp instructions a launch",
                            std::isnan(costs.kernel_ipc()) ? "" : absl::StrFormat(", %.2f per SM and cycle", costs.kernel_ipc()), "."));
    TableWriter table(out, TableName(inputs, facts, "costs of regions, exclusive of nested ones"));
    table.Column("role").Column("region").Column("instances").Column("median", "cycles").Column("time share").Column("instructions")
        .Column("IPC of a warp").Column("issue share").Column("mix").Column("stalls").Column("confidence");
    for (const v1::RegionCost& cost : costs.regions()) {
      if (cost.warp() >= 0) continue;
      const int middle = cost.cycles_size() / 2;
      table.Row({Shown(cost.role()), cost.parent().empty() ? Shown(cost.region()) : absl::StrCat("↳ ", Shown(cost.region())),
                 Count(cost.instances()), middle < cost.cycles_size() ? Number(cost.cycles(middle)) : "–",
                 ShareText(cost.time_share()), Number(cost.instructions_exclusive()), Number(cost.ipc_exclusive()),
                 ShareText(cost.issue_share()), TopShares(cost.mix(), 3), TopShares(cost.stalls(), 3),
                 absl::StrCat(Number(cost.confidence()), cost.why().empty() ? "" : absl::StrCat(": ", cost.why()))});
    }
    table.End(out);
  }
}

}  // namespace sextant::analysis

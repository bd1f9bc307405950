// `sextant run --plan`: what would run, and at what cost.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/pass/pass_text.h"

namespace sextant::cli {

int PrintPlan(Context& context, const v1::JobGraph& graph) {
  v1::PlanJobRequest request;
  *request.mutable_graph() = graph;
  const auto plan = context.service().PlanJob(request);
  if (!plan.ok()) return context.Fail(plan.status());
  if (context.json) {
    context.PrintJson(*plan);
    return kOk;
  }
  using Align = Table::Align;
  Table table({{"passes"}, {"cached", Align::kRight}, {"cost", Align::kRight},
               {"perturbation", Align::kRight}, {"on"}, {"for"}});
  bool all = true;
  for (const v1::PlannedPass& pass : plan->passes()) {
    if (!pass.problem().empty()) {
      all = false;
      table.Add({pass::Text(pass.spec()), "", "", "", "nobody", pass.problem()});
      continue;
    }
    table.Add({absl::StrCat(pass::Text(pass.spec()), pass.spec().optional() ? " (optional)" : ""),
               pass.cached() > 0 ? absl::StrCat(pass.cached()) : "",
               absl::StrCat(pass.cost_known() ? "" : "~", FormatNs(pass.cost_s() * 1e9)),
               pass.perturbation_pct() > 0 ? absl::StrFormat("~%.3g %%", pass.perturbation_pct()) : "",
               pass.pool(), pass.why()});
  }
  context.out << table.Text(context.out_terminal.color, "", context.out_terminal.width);
  context.out << "devices: " << FormatNs(plan->device_s() * 1e9)
              << "    (~: of a typical program, no earlier pass of this one is known)\n";
  for (const std::string& note : plan->notes()) context.out << "note: " << Escape(note) << "\n";
  return all ? kOk : kFailed;
}

}  // namespace sextant::cli

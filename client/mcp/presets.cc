#include "client/mcp/presets.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/mcp/values.h"
#include "client/pass/pass_text.h"

namespace sextant::mcp {
namespace {

// What is planned: nobody has run it, so that costs are those of a typical program.
constexpr char kProgram[] = "./program";
constexpr char kReference[] = "run";   // the program alone, to which costs relate

v1::ProfileTask& AddTask(const std::string& name, v1::JobGraph* graph) {
  v1::TaskSpec& task = *graph->add_tasks();
  task.set_name(name);
  task.mutable_profile()->mutable_workload()->add_argv(kProgram);
  return *task.mutable_profile();
}

}  // namespace

const std::vector<Preset>& Presets() {
  static const auto& presets = *new std::vector<Preset>{
      {"quick", "how long it takes, which kernels, how busy the GPU is"},
      {"bottleneck", "what bounds it and what to change; the usual choice"},
      {"deep", "everything the instruments can tell, for one kernel that matters"},
      {"timeline", "where time goes inside: regions of many passes (Python programs: by Proton)"},
      {"ci", "whether it became slower: many clean passes, for compare_jobs; submit with fresh"},
  };
  return presets;
}

std::string PresetNames() {
  return absl::StrJoin(Presets(), ", ", [](std::string* out, const Preset& preset) { out->append(preset.name); });
}

v1::PassSpec PresetPass(const std::string& name, double budget_s) {
  v1::PassSpec pass;
  pass.set_backend("auto");
  (*pass.mutable_options())["question"] = name;
  if (budget_s > 0) (*pass.mutable_options())["budget_s"] = absl::StrCat(budget_s);
  return pass;
}

Json DescribePresets(Scope& scope) {
  v1::PlanJobRequest request;
  AddTask(kReference, request.mutable_graph()).add_passes()->set_backend("run");
  for (const Preset& preset : Presets())
    *AddTask(preset.name, request.mutable_graph()).add_passes() = PresetPass(preset.name, 0);
  const auto plan = scope.Call(&v1::Sextant::StubInterface::PlanJob, request);
  std::map<std::string, Json> passes;
  std::map<std::string, double> cost_s;
  if (plan.ok()) {
    for (const v1::PlannedPass& pass : plan->passes()) {
      if (!pass.problem().empty()) continue;
      passes[pass.task()].push_back(pass::Text(pass.spec()));
      cost_s[pass.task()] += pass.cost_s();
    }
  }
  Json rows = Json::array();
  for (const Preset& preset : Presets()) {
    Json row = {{"preset", preset.name}, {"answers", preset.answers}};
    if (const auto found = passes.find(preset.name); found != passes.end()) {
      row["passes"] = std::move(found->second);
      if (cost_s[kReference] > 0) row["cost_run_times"] = Number(cost_s[preset.name] / cost_s[kReference]);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sextant::mcp

// The part of PassRunner that starts passes by fork.
#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "workers/agent/failures.h"
#include "workers/agent/pass_attempt.h"
#include "workers/agent/warm_modules.h"

namespace sextant::agent {
namespace {

// What the linker looks at when a process starts: a fork is too late for it.
bool NeedsOwnStart(const std::map<std::string, std::string>& env) {
  return std::any_of(env.begin(), env.end(), [](const auto& variable) {
    return absl::StartsWith(variable.first, "LD_") || absl::StartsWith(variable.first, "PYTHON");
  });
}

}  // namespace

bool MayBeWarm(const v1::Assignment& assignment) {
  const auto option = assignment.spec().options().find(kWarmOption);
  const bool asked = option != assignment.spec().options().end();
  if (asked && option->second == "0") return false;
  if (assignment.kind() != "profile" || assignment.device().empty()) return false;
  // One pass alone gains nothing.
  if (!asked && assignment.task_passes() < 2) return false;
  const auto& argv = assignment.workload().argv();
  return sandbox::ParsePythonCommand({argv.begin(), argv.end()}).has_value();
}

bool PassRunner::PlanWarm(const backends::LaunchPlan& plan, Attempt& attempt) {
  if (!attempt.in_job_directory) return true;
  std::vector<std::string> modules;
  if (attempt.warm_option.empty() || attempt.warm_option == "1") {
    modules = FindModules(attempt.assignment.workload(), attempt.work);
  } else {
    absl::StatusOr<std::vector<std::string>> named = ParseModules(attempt.warm_option);
    if (!named.ok()) {
      return attempt.Fail(MakeFailure(v1::REJECTED, "prepare", named.status().message(),
                                      "correct what is named and submit again"));
    }
    modules = *std::move(named);
  }
  const std::optional<sandbox::PythonCommand> python = sandbox::ParsePythonCommand(attempt.spec.argv);
  if (modules.empty() || !python.has_value() || NeedsOwnStart(plan.env)) return true;
  for (const std::string& module : plan.warm_modules) {
    if (std::find(modules.begin(), modules.end(), module) == modules.end()) modules.push_back(module);
  }
  attempt.warm = WarmRequest{.device = attempt.assignment.device(),
                             .job_id = attempt.assignment.job_id(),
                             .python = *python,
                             .modules = std::move(modules),
                             .passes_dir = attempt.root.parent_path()};
  attempt.own_variables = {std::begin(kPassVariables), std::end(kPassVariables)};
  for (const auto& [name, value] : plan.env) attempt.own_variables.push_back(name);
  return true;
}

absl::StatusOr<std::unique_ptr<sandbox::Running>> PassRunner::StartProgram(Pass& pass, Attempt& attempt) {
  const v1::Assignment& assignment = attempt.assignment;
  if (!assignment.device().empty()) rooms_.warm.EndOthers(assignment.device(), assignment.job_id());
  if (attempt.warm.has_value()) {
    // Only now is the device's part in it too.
    attempt.warm->env = attempt.spec.env;
    for (const std::string& own : attempt.own_variables) attempt.warm->env.erase(own);
    absl::StatusOr<std::unique_ptr<sandbox::Running>> forked =
        rooms_.warm.Start(*attempt.warm, attempt.spec, [&pass] { return pass.stopped(); });
    if (forked.ok() || absl::IsCancelled(forked.status())) {
      attempt.forked = forked.ok();
      (*attempt.result().mutable_provenance()->mutable_extra())["start"] = "warm";
      return forked;
    }
    if (!absl::IsUnimplemented(forked.status())) {
      attempt.result().add_notes(absl::StrCat("started cold: ", forked.status().message()));
    }
  }
  return rooms_.sandbox.Start(attempt.spec);
}

}  // namespace sextant::agent

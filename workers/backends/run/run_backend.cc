#include "workers/backends/run/run_backend.h"

#include "absl/strings/str_cat.h"

namespace sextant::backends {

std::string RunBackend::Name() const { return "run"; }

v1::BackendOffer RunBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  // There is no tool: the number is that of the way programs are started, in hex.
  offer.set_tool_digest("01");
  return offer;
}

absl::StatusOr<LaunchPlan> RunBackend::Prepare(const v1::Assignment& assignment) const {
  if (assignment.workload().argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  for (const auto& [name, value] : assignment.spec().options()) {
    return absl::InvalidArgumentError(
        absl::StrCat("options[\"", name, "\"]: backend \"run\" has no options"));
  }
  LaunchPlan plan;
  plan.argv.assign(assignment.workload().argv().begin(), assignment.workload().argv().end());
  return plan;
}

absl::StatusOr<Collected> RunBackend::Collect(const RunRecord& run) const { return Collected(); }

}  // namespace sextant::backends

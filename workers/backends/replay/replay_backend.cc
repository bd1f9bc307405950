#include "workers/backends/replay/replay_backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sextant::backends {

std::string ReplayBackend::Name() const { return "replay"; }

v1::BackendOffer ReplayBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  // There is no tool: the number is that of the recordings' format.
  offer.set_tool_digest("01");
  return offer;
}

absl::StatusOr<LaunchPlan> ReplayBackend::Prepare(const v1::Assignment& assignment) const {
  LaunchPlan plan;
  for (const auto& [name, value] : assignment.spec().options()) {
    if (name != "recording") {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", name, "\"]: backend \"replay\" has no such option; it has recording"));
    }
    plan.recording = value;
  }
  if (plan.recording.empty()) {
    return absl::InvalidArgumentError(
        "options[\"recording\"]: is missing; write --pass replay:FILE or --pass replay:DIRECTORY");
  }
  const auto& files = assignment.workload().files();
  if (std::none_of(files.begin(), files.end(),
                   [&](const v1::File& file) { return file.path() == plan.recording; })) {
    return absl::InvalidArgumentError(absl::StrCat("options[\"recording\"]: \"", plan.recording,
                                                   "\" is no file of the workload"));
  }
  return plan;
}

absl::StatusOr<Collected> ReplayBackend::Collect(const RunRecord& run) const {
  return absl::InternalError("a replayed pass is collected by the backend that recorded it");
}

}  // namespace sextant::backends

// Runs the program and watches nothing: builds, verifications, rewrites, analyses by program, and
// the clean pass that supplies the time.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

class RunBackend : public Backend {
 public:
  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Nothing is captured: never empty, always OK.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;
};

}  // namespace sextant::backends

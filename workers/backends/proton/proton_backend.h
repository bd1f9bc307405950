// Scopes inside Triton and Gluon kernels, and kernels as the host sees them, by Proton, Triton's
// profiler, which comes with Triton in the user's Python.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

class ProtonBackend : public Backend {
 public:
  explicit ProtonBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  // Available where there is a Python; whether it has Triton only the program's own environment
  // shows, so a pass without it says so.
  v1::BackendOffer Probe() const override;
  // The self-test program is no Python; Probe has looked for what Proton needs.
  Proof HowToProve() const override { return {.needed = false}; }
  // workload.argv must be "python3 [options] SCRIPT|-m MODULE|-c CODE …". Options: options.h.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

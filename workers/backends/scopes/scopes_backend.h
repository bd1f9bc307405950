// Regions of CUDA kernels, as programs record them with sextant/scope.cuh.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Holds the site alone.
class ScopesBackend : public Backend {
 public:
  explicit ScopesBackend(Site site) : site_(std::move(site)) {}
  std::string Name() const override;
  // Available wherever there is a GPU: the recorder is in the user's program.
  v1::BackendOffer Probe() const override;
  // The self-test program has no scopes; nothing but the header is needed to record them.
  Proof HowToProve() const override { return {.needed = false}; }
  // Options: those of SEXTANT_SCOPES (client/include/sextant/scope.cuh), part=K,split=N for its part=K/N
  // (the planner makes a pass of each part where only split is given), and launches=0, which leaves
  // CUPTI out of the process.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

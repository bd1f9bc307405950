// Plays recordings of passes through the service where their hardware is not (docs/recordings.md).
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// The agent plays the recording; the backend that recorded it collects. Without state.
class ReplayBackend : public Backend {
 public:
  std::string Name() const override;
  // Always available.
  v1::BackendOffer Probe() const override;
  // Options: recording=PATH beneath /work, of a file of the workload.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Never called by the agent: INTERNAL.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;
};

}  // namespace sextant::backends

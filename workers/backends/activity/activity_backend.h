// What the GPU did and when: kernels, copies, synchronisations, API calls and NVTX ranges, by
// CUPTI's activity records (workers/inject/activity.cc).
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   api=0|1     record calls of the CUDA runtime and driver (default 1)
//   nvtx=0|1    record NVTX ranges (default 1)
//   light=0|1   only kernels: what costs least (default 0)
// Leaves the trace in ns (tracks: importer.h), the tables `launches`, `copies` and `kernels`,
// and per kernel the counters `launches` and `kernel_time`.
class ActivityBackend : public Backend {
 public:
  explicit ActivityBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

// Regions of CPU threads, as programs record them with sextant/scope.h.
#pragma once

#include "workers/backends/backend.h"
#include "workers/backends/host/clock.h"

namespace sextant::backends {

// Owns a clock reading to compare the recorders' with; otherwise without state.
class HostBackend : public Backend {
 public:
  std::string Name() const override;
  // Always available. Features: "counter-clock" or "monotonic-clock", "perf-software", and
  // "perf-hardware" or, where the kernel refuses it, `reason` with the why.
  v1::BackendOffer Probe() const override;
  // Options: records=N kept per thread (512…16777216), threads=N recorded at one time,
  // counters=cycles+instructions+…, clock=tsc|monotonic.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  host::ReferenceClock clock_;
};

}  // namespace sextant::backends

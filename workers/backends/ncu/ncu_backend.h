// Nsight Compute around the user's program.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"
#include "workers/backends/ncu/command.h"

namespace sextant::backends {

// Owns where the installation is, found once at the worker's start.
class NcuBackend : public Backend {
 public:
  explicit NcuBackend(const Site& site);

  std::string Name() const override;
  // Available where Nsight Compute is installed and there is a GPU. Features: "excludes:cupti".
  v1::BackendOffer Probe() const override;
  // Options: ncu/options.h.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Leaves the tables launches, ncu and findings, counters by kernel, and the report as an
  // artifact. FAILED_PRECONDITION: no kernel was profiled. PERMISSION_DENIED: the driver keeps
  // counters for administrators. UNIMPLEMENTED: this ncu cannot profile this GPU, driver, metric or
  // section.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  absl::StatusOr<ncu::Installation> installation_;
};

}  // namespace sextant::backends

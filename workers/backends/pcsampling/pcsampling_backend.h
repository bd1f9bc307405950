// Where warps stood and why: stall reasons by instruction, function and source line, by CUPTI's PC
// Sampling (workers/inject/pc_sampling.cc).
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   mode=continuous  kernels overlap as they would; costs nearly nothing (default)
//   mode=serialized  kernels run one after another
//   period=N         each SM is sampled every 2^N cycles, 5 to 31; default CUPTI's choice
//   activity=0       without the records of launches beside the samples
// Leaves the tables `pc_samples` and `launches`, and per kernel the counters `pc_samples` and `stall_<reason>` (share
// of its samples in %). Source lines need -lineinfo; Triton writes them itself.
class PcSamplingBackend : public Backend {
 public:
  explicit PcSamplingBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

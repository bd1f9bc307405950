// Counters of the whole GPU over time, at a fixed interval, beside the launches that ran then: by
// CUPTI's PM Sampling (workers/inject/pm_sampling.cc) and its activity records.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   interval_us=N   between samples, 2 to 1000000; default 20
//   metrics=a+b     by name; they must fit into one hardware pass. Default: share of time in which
//                   SMs are active, instructions a cycle, share of time in which tensor cores are
//                   active, and bytes read from and written to device memory
// Leaves the tables `pm_samples` and `launches`, in the same time base.
class PmSamplingBackend : public Backend {
 public:
  explicit PmSamplingBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

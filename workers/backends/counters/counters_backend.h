// Hardware counters of every launch, by CUPTI's Range Profiler (workers/inject/counters.cc).
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   set=ipc+memory+…   metric sets by question (metric_sets.h); default ipc, where no metrics are given
//   metrics=a+b        metrics by name, with their rollup: smsp__inst_executed.sum
//   replay=kernel      each launch runs once for each hardware pass, its memory put back (default);
//                      what fits into one hardware pass runs once in any case
//   replay=application one hardware pass of the whole program; part=K says which, from 1
//   skip=N, launches=N which launches (of kernels that match) are counted
// Leaves the table `counters`, counters per kernel, and, where gpu__time_duration.sum is among the
// metrics, the table `launches` with what the hardware timed.
class CountersBackend : public Backend {
 public:
  explicit CountersBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

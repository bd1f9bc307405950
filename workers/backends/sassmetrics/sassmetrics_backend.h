// How often every instruction ran: the instruction mix, by CUPTI's SASS Metrics
// (workers/inject/sass_metrics.cc). Kernels are patched: counts are exact, times mean nothing.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   per=kernel       counts are of all launches of a kernel (default)
//   per=launch       counts are of each launch; the program waits for each
//   skip=N, launches=N   with per=launch: which launches are counted
// Leaves the tables `sass_metrics` and `launches` (timed by events: activity records in the same process
// keep CUPTI from counting), and per kernel the counters `instructions`, `thread_instructions`,
// `predicated_off` (share of thread instructions in %) and `mix_<class>` (share of warp instructions
// in %).
class SassMetricsBackend : public Backend {
 public:
  explicit SassMetricsBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

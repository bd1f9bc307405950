// CUTracer, which instruments SASS through NVBit. The site supplies it (Site.tools["cutracer"], its
// cutracer.so or the directory above lib/); nothing of it is part of Sextant.
#pragma once

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::backends {

// Owns where the library is, found once at the worker's start.
class CutracerBackend : public Backend {
 public:
  explicit CutracerBackend(const Site& site);

  std::string Name() const override;
  // Off, with the reason, where the site has no CUTracer. NVBit shares a process with neither CUPTI
  // nor ncu: the offer's features say so to the planner.
  v1::BackendOffer Probe() const override;
  // By executions of each instruction: the self-test program reads no clock in pairs.
  Proof HowToProve() const override;
  // Options: mode=histogram (instructions between clock reads, by warp) or opcodes (executions of
  // each instruction); filter=A+B, parts of kernel names; trace_mib=N, of each trace file (1…1024).
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Leaves the table instructions (histogram) or sass_metrics (opcodes), and CUTracer's log.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  absl::StatusOr<std::filesystem::path> library_;
};

}  // namespace sextant::backends

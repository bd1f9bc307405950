// What other tools left elsewhere, as a pass (docs/formats.md): the backend that runs the tool collects from
// its files, without running anything.
#pragma once

#include <vector>

#include "workers/backends/backend.h"

namespace sextant::backends {

// Borrows the backends that collect, which must outlive it.
class ImportBackend : public Backend {
 public:
  explicit ImportBackend(std::vector<const Backend*> collectors)
      : collectors_(std::move(collectors)) {}

  std::string Name() const override;
  // Always available.
  v1::BackendOffer Probe() const override;
  // Options:
  //   path=PATH     beneath /work: a file of the workload, or a folder all of whose files are of this pass
  //   kind=TOOL     import/kind.h; default: by content
  //   machine=NAME  where it was measured; default: as far as the files tell
  //   kernel=NAME, scopes=A+B   of raw buffers of Proton, which have no names
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Collected.imported is set. UNIMPLEMENTED: this worker lacks the backend that collects.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  absl::StatusOr<Collected> Read(const RunRecord& run) const;
  absl::StatusOr<Collected> CollectBy(const v1::PassSpec& spec, const RunRecord& run) const;

  const std::vector<const Backend*> collectors_;
};

}  // namespace sextant::backends

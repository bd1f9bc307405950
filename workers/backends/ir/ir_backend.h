// The code of the kernels that ran, in every form there is: TTIR, TTGIR, LLIR, PTX, SASS, cubin.
#pragma once

#include "workers/backends/backend.h"

namespace sextant::backends {

// Options:
//   triton=0|1   have Triton keep its forms of what it compiles (default 1); everything is compiled
//                anew, in a cache of the pass
//   sass=0|1     disassemble, where the site has a toolkit (default 1)
// Leaves the tables `launches` and `kernels`, and artifacts of kind "ir" named
// <kernel>.<first 8 digits of its sass_digest>.<form>, of the 64 kernels that took longest.
class IrBackend : public Backend {
 public:
  explicit IrBackend(Site site) : site_(std::move(site)) {}

  std::string Name() const override;
  v1::BackendOffer Probe() const override;
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const Site site_;
};

}  // namespace sextant::backends

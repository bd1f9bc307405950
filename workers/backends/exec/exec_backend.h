// A third party's backend: an executable that is asked `probe`, `prepare` and `collect` over JSON
// and files (docs/adding_a_backend.md).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "workers/backends/backend.h"

namespace sextant::backends {

// Owns where the executable is. `probe` and `prepare` run beside the worker, as nobody where it is
// root, with limits and without its environment; `collect`, which reads what hostile programs left,
// runs inside the sandbox.
class ExecBackend : public Backend {
 public:
  ExecBackend(std::string name, std::filesystem::path executable, RunInside run_inside);

  std::string Name() const override;  // "exec:NAME"
  v1::BackendOffer Probe() const override;
  // INVALID_ARGUMENT: what `prepare` says is wrong, or what is wrong with what it says.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  const std::string name_;
  const std::filesystem::path executable_;
  const RunInside run_inside_;
};

// One for each executable of the site's directory whose name has the characters A-Z, a-z, 0-9, '_',
// '-' and '.' alone, without its ending ".py" or ".sh"; in order of their names.
std::vector<std::unique_ptr<Backend>> ExecBackends(const Site& site);

}  // namespace sextant::backends

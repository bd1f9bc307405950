// NVIDIA's compute-sanitizer around the user's program: memory errors, races, uninitialised reads,
// wrong synchronisation.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"
#include "workers/backends/sanitizer/options.h"

namespace sextant::backends {

// Owns where the tool is, found once at the worker's start.
class SanitizerBackend : public Backend {
 public:
  explicit SanitizerBackend(const Site& site);

  std::string Name() const override;
  // Available where compute-sanitizer is: Site.tools["compute-sanitizer"], in the toolkit, in PATH.
  v1::BackendOffer Probe() const override;
  // Options: sanitizer/options.h. workload.kernels is matched with mangled names here.
  absl::StatusOr<LaunchPlan> Prepare(const v1::Assignment& assignment) const override;
  // Leaves the table findings, also where nothing was found: a clean run is a result.
  // FAILED_PRECONDITION: the program did not use CUDA. UNIMPLEMENTED: the GPU is not supported.
  absl::StatusOr<Collected> Collect(const RunRecord& run) const override;

 private:
  absl::StatusOr<std::filesystem::path> directory_;  // holds compute-sanitizer and its libraries
};

namespace sanitizer {

inline constexpr char kInside[] = "/sextant/compute-sanitizer";
inline constexpr char kRecords[] = "sanitizer.xml";
inline constexpr char kLog[] = "sanitizer.log";

std::vector<std::string> CommandLine(const Options& options, const v1::Workload& workload);

// What the log says that the records do not: OK, or why nothing was checked.
absl::Status ExplainLogUntrusted(std::string_view log);

}  // namespace sanitizer
}  // namespace sextant::backends

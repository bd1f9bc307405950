// The files of a `proton` pass, turned into a trace, tables and counters.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::backends::proton {

// Where proton_launch.py writes, beneath the results directory.
inline constexpr char kResultsFolder[] = "proton";

// What scopes inside kernels left. FAILED_PRECONDITION: nothing, with the reason.
absl::StatusOr<Collected> CollectIntra(const RunRecord& run);

// What the host saw: counters by kernel, the table `launches`, and a trace with a track for each
// stream. FAILED_PRECONDITION: no kernel ran, with the reason.
absl::StatusOr<Collected> CollectHost(const RunRecord& run);

}  // namespace sextant::backends::proton

// The names of a kernel's regions, without reading what they took.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// As the traces of `scopes` and `proton` passes name them; sorted. None: no such pass.
absl::StatusOr<std::vector<std::string>> ReadRegionNames(const Evidence& evidence);

}  // namespace sextant::analysis

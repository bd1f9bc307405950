// Where a kernel's time goes, by source line, instruction, function or region, or by kernel: by the samples that fell there,
// with why warps stood still, and how often it was executed.
#pragma once

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

inline constexpr uint32_t kDefaultHotspots = 20;

// INVALID_ARGUMENT: `by` is unknown, or `within` is no line, function or region of the kernel; says what there is. Without
// samples, what was executed most comes first, with an abstention; text of lines stands where the workload's bundle has
// the file.
absl::StatusOr<v1::Hotspots> MakeHotspots(const Evidence& evidence, const v1::GetHotspotsRequest& request);

}  // namespace sextant::analysis

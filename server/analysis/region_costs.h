// What regions inside a kernel cost: instructions, their mix, stalls, over their time.
//
// Instructions come from `sassmetrics` through the code of the regions (region_code.h), the time from `scopes` or `proton`
// traces, stalls from `pcsampling` at the same instructions; all of one code. Counts at instructions are of all warps:
// where several roles run the same region they share it by their instances, and the confidence says so.
//
// Without sassmetrics and the code, CUTracer's counts (table `instructions`) are joined by ordinal, from the tail
// (traced_counts.h).
#pragma once

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// What is missing is NaN, with an abstention that names the pass.
absl::StatusOr<v1::RegionCosts> MakeRegionCosts(const Evidence& evidence, const v1::GetRegionCostsRequest& request);

}  // namespace sextant::analysis

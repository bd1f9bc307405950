// The instructions of a kernel that matter, for findings to name: where most samples fell, what warps wait for
// there, and where memory is accessed.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "server/analysis/facts.h"
#include "server/analysis/kernel_code.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// From hotspots by SASS: each with its source line where samples or counts tell it. Shares are of all samples that the
// hotspots were made from.
absl::StatusOr<std::vector<CodeSite>> FindCodeSites(const Evidence& evidence, const v1::Hotspots& by_sass);

// What the instruction waits for, as far as the text tells: the closest earlier instruction, along the control flow, whose
// result comes late (a load, an atomic, a special function) in a register it reads, or that decides its guard (a test of an
// mbarrier too); or a store that must have read a register before it is overwritten; of a barrier, the copy into shared
// memory before it. code.size(): none within 400 instructions.
uint32_t FindAwaited(const KernelCode& code, uint32_t index);

}  // namespace sextant::analysis

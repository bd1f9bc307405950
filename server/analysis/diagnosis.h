// What bounds the kernels, what to try, and what could not be judged: the rules of rules/ on gathered facts.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/analysis/facts.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

inline constexpr uint32_t kDefaultFindings = 10;

// Asks every rule about every kernel. Findings come in order of the time they could save (share of the
// kernel × share of the kernel in the GPU's time), those whose saving is not known last; at most `top`,
// of which the notes say how many were left out. Abstentions of the same question are one; those whose pass settles
// most questions come first. Fills all but the basis' passes. Facts without any kernel: one entry with kernel "".
v1::Diagnosis Diagnose(absl::Span<const Facts> kernels, uint32_t top);

}  // namespace sextant::analysis

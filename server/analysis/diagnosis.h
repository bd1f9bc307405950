// What bounds the kernels, what to try, and what could not be judged: the rules of rules/ on gathered facts.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/analysis/facts.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

inline constexpr uint32_t kDefaultFindings = 10;

// How far a claim of each confidence is trusted when findings are ranked.
inline constexpr double kHighWeight = 1, kMediumWeight = 0.6, kLowWeight = 0.3;

// Asks every rule about every kernel. Findings come kernel by kernel where regions of some were recorded: those
// first, because somebody looked into them. Then by what they are expected to save: the middle of the saving's interval
// × the confidence's weight × the share of the kernel in the GPU's time; those whose saving is not known last. At
// most `top`, of which the notes say how many were left out.
//
// Savings from the same time (rule.h) compete: each finding names the others and what all of them can save
// together, which is no more than the busiest unit, or the roofline, leaves. What all findings about a kernel save
// together stands in the verdict: 1 − Π (1 − each pool's), less than the kernel's time.
//
// Abstentions of the same question are one; those whose pass settles most questions come first. Fills all but the
// basis' passes. Facts without any kernel: one entry with kernel "".
v1::Diagnosis Diagnose(absl::Span<const Facts> kernels, uint32_t top);

}  // namespace sextant::analysis

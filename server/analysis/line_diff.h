// The lines two texts have in common, as diff finds them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

// Pairs of indices of equal lines, ascending in both. Greedy shortest edit script (Myers: An O(ND) Difference Algorithm
// and Its Variations, 1986) where at most `max_edits` lines differ; beyond, the way that got furthest with so many edits is
// taken and the search goes on from there, so that time grows with max_edits × lines, and the script may be
// longer than the shortest.
std::vector<std::pair<uint32_t, uint32_t>> CommonLines(absl::Span<const uint32_t> a, absl::Span<const uint32_t> b,
                                                       int32_t max_edits = 1024);

}  // namespace sextant::analysis

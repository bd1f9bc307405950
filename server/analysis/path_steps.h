// The longest path of a run as steps for reading: pieces that repeat in the same order are folded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "server/analysis/event_graph.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// Words for the numbers that a run's regions, roles and barriers have.
struct RunNames {
  std::vector<std::string> regions;
  std::vector<std::string> roles;
  std::vector<std::string> barriers;

  static constexpr char kOutside[] = "(outside)";
  std::string Region(uint32_t region) const {
    return region == PathPiece::kOutside ? kOutside : regions[region];
  }
};

// A sequence of steps that occurs n times in a row stands once, each of its steps with `repeats` n, the
// start of its first occurrence and the time of all n. `enters_by` is "full[3]", or "full" where the
// occurrences differ in their slot. At most `most` steps; the others are counted.
std::vector<v1::PathStep> FoldSteps(absl::Span<const PathPiece> pieces,
                                    absl::Span<const RunWarp> warps,
                                    absl::Span<const WaitEdge> edges, const RunNames& names,
                                    double ns_per_unit, size_t most, uint64_t* left_out);

}  // namespace sextant::analysis

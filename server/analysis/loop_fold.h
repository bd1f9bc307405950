// The loop of a role: the sequence of regions its warps repeat, folded to one typical iteration, so that
// 10,000 iterations fit a screen.
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

inline constexpr uint64_t kMinLoopIterations = 4;   // of a warp: fewer are no loop
inline constexpr size_t kMaxLoopPeriod = 64;        // regions of an iteration, at one depth

struct FoldOptions {
  absl::flat_hash_set<std::string> roles;   // as named, or as a lane is; empty: all
};

// The loops of each lane, by lane: the outermost first, and of those at one depth the one that repeats longest. Beside the
// first, loops that take 5 % of the lane's time; eight at most. Where iterations of a loop hold more than
// kMaxLoopPeriod ÷ 8 nested regions, a loop among these is found too. Lanes without a loop have none.
//
// The rule. Of the warp with most instances, at the outermost depth at which something repeats, the period is the smallest
// p ≤ kMaxLoopPeriod for which s[i] = s[i+p] holds nearly as often (0.9 times) as for the best p; where it holds for less
// than half of the warp, the smallest p that repeats without a break for nearly as long as the best. The iteration is the
// rotation of these p regions that occurs most often, then one that begins with a wait, then the one before which most
// time passes. Every warp is cut by it; what is between counts to no iteration. What was cut is taken out, and the
// rest searched again: a loop behind a loop, or a region that comes once a tile, between the loops of the tiles.
// An iteration is steady when the median of its period over warps, by its number from the first (the
// last), lies within max(25 %, 3 scaled MADs) of the median period of the middle half of iterations, and
// so does the next one (the one before). Prologue and epilogue are what is before the first steady
// iteration and behind the last, other loops among it.
// Linear in the instances of the sample; of more than 100,000 steady iterations a regular part is used.
std::vector<v1::LoopFold> FoldLoops(const TraceSample& sample, const FoldOptions& options,
                                    absl::Span<const double> quantiles);

}  // namespace sextant::analysis

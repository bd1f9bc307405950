// What of one role's time runs at the same time as another role's work: how much of the loads is hidden
// under the computation.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/trace_sample.h"

namespace sextant::analysis {

inline constexpr size_t kMaxOverlapRegions = 48;    // (role, region), those with most time
inline constexpr size_t kMaxOverlapRoles = 16;      // whose work is told apart
inline constexpr size_t kMaxOverlapUnits = 512;     // CTAs or processes
inline constexpr size_t kMaxOverlapRows = 400;

// Regions whose name begins with "wait" are waiting, which is no work.
bool IsWait(absl::string_view region);

// For every region of every role, against every other role's (where there is one role alone: its own
// other) regions, and with an empty other_region against that role's work: the times at which the
// innermost region of any of its warps is no wait. Within each CTA (host: process) the instances of a
// region, over all its warps, are joined to the set of times at which any of them ran; busy is its
// measure, both that of the intersection. Medians over the CTAs of all passes, of more than kMaxOverlapUnits
// over every n-th. Most busy regions first, of each the other regions it overlaps most.
// n log n in the instances of the CTAs used.
std::vector<v1::RoleOverlap> Overlaps(const TraceSample& sample);

}  // namespace sextant::analysis

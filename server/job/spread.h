// Passes that one line of a request stands for.
#pragma once

#include <vector>

#include "sextant/v1/types.pb.h"

namespace sextant::job {

// Spreads a pass over several, each of which disturbs less or counts less:
//   scopes:split=N*R                       N kinds of passes, each of which records one part of the
//                                          scopes, R/N times (rounded up): part=1, 2, …, N
//   counters:replay=application,set=…*R    one kind for each hardware pass that the sets take at most,
//                                          each R times: part=1, 2, …
// Parts after the first are optional: names of scopes may all fall into others, and a chip may count the
// sets in fewer hardware passes. Anything else stays as it is. Sets and metrics that are not known here
// count as one hardware pass each.
std::vector<v1::PassSpec> Spread(const v1::PassSpec& spec);

}  // namespace sextant::job

// Roofline and speed of light of a kernel: the work it did and the bytes it moved, by counters, over its clean time, against
// what the chip can do at the clock it had.
//
// Attainable at a level of the memory: the smaller of the compute ceiling and intensity × bandwidth (Williams, Waterman,
// Patterson: Roofline, 2009). The compute ceiling of mixed work is the harmonic mean of those of its types: each type takes
// its time on its own pipe, one after the other.
#pragma once

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// Regions have points at L1, estimated: executions of their instructions × what each does by its opcode, with nested
// regions, over the clean time × their share of their role's time. Where that is more than the chip can do, the work is
// done at another time than it is issued, and the rate is not known. `costs` of the same evidence tell that share; null:
// they are made here.
//
// What is missing is NaN, with an abstention that names the pass.
absl::StatusOr<v1::Roofline> MakeRoofline(const Evidence& evidence, const v1::RegionCosts* costs = nullptr);

}  // namespace sextant::analysis

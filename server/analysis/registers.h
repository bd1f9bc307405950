// Register pressure: how many registers a kernel needs at once and where, what that does to occupancy, what one register
// less or one block more would change, and what spills move.
//
// Live registers are by dataflow over the kernel's SASS (live_registers.h has the limits). Occupancy is calculated
// (proto/occupancy) from the launch and the multiprocessor of the GPU. Accesses to local memory are spills, or arrays
// that do not fit in registers: SASS does not tell them apart.
#pragma once

#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/evidence.h"

namespace sextant::analysis {

// What is missing is NaN or 0 with an abstention that names the pass.
absl::StatusOr<v1::Registers> MakeRegisters(const Evidence& evidence);

}  // namespace sextant::analysis

// How busy the units of the GPU were, from whichever pass tells.
#pragma once

#include <string>
#include <vector>

#include "server/analysis/facts.h"

namespace sextant::analysis {

// A unit's use in % of what it can sustain.
struct UnitUse {
  std::string unit;     // "DRAM", "L2", "L1", "tensor pipe", "issue slots", "SM"
  const Fact* fact = nullptr;
  double percent() const { return fact->value; }
};

// The units of each kind that are known, busiest first.
std::vector<UnitUse> MemoryUse(const Facts& facts);
std::vector<UnitUse> ComputeUse(const Facts& facts);
// In %; NaN: not known.
double TensorUse(const Facts& facts);

// At or above this a unit bounds the kernel; below it in all of them, latency does (the threshold of
// Nsight Compute's speed-of-light rule).
inline constexpr double kBusyPct = 60;

// What of the time the busiest unit leaves: no change that keeps its work can save more. 1 when no unit
// is known.
double LeftByBusiest(const Facts& facts);

}  // namespace sextant::analysis

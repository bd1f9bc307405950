// How busy the units of the GPU were, from whichever pass tells, and what that leaves to be saved.
#pragma once

#include <string>
#include <vector>

#include "server/analysis/facts.h"
#include "server/analysis/rules/rule.h"

namespace sextant::analysis {

// A unit's use in % of what it can sustain.
struct UnitUse {
  std::string unit;        // "DRAM", "L2", "L1", "tensor pipe", "issue slots", "ALU pipe"
  const Fact* fact = nullptr;
  bool of_active = false;  // of the cycles in which an SM had a CTA; else of all cycles and SMs
  double percent() const { return fact->value; }
};

// The units of each kind that are known, busiest first.
std::vector<UnitUse> MemoryUse(const Facts& facts);
std::vector<UnitUse> ComputeUse(const Facts& facts);
// Both, but `unit`, busiest first.
std::vector<UnitUse> OthersThan(const Facts& facts, absl::string_view unit);
// In %; NaN: not known.
double TensorUse(const Facts& facts);

// Whether the pipes that most instructions go to were counted (integer and logic: ALU; floating point and integer
// multiplication: FMA); if not, the pass that counts them.
bool PipesCounted(const Facts& facts);
extern const char kPipesPass[];

// At or above this a unit bounds the kernel; below it in all of them, latency does (the threshold of
// Nsight Compute's speed-of-light rule).
inline constexpr double kBusyPct = 60;

// What of the kernel's time is left where the busiest unit works all the time: no change that keeps its work can
// save more. 1, and no reason, when no unit is known.
//
//   inside   of CTAs as they are spread over the SMs: a unit of an SM works use × (active cycles ÷ elapsed cycles of
//            the SMs that have a CTA), one of the device its use; and the roofline's share ÷ the SMs' share
//   of all   were the CTAs spread evenly: use × active cycles ÷ elapsed cycles over all SMs; and the roofline's share
struct Left {
  double share = 1;
  std::string why;      // "the tensor pipe works 57 % of the kernel's time"
};
Left LeftInside(const Facts& facts);
Left LeftOfAll(const Facts& facts);
// What pool a saving comes from decides.
Left LeftFor(SavedFrom from, const Facts& facts);

// No more than is left; the formula says so.
Saving Within(const Left& left, Saving saving);

// A share of a CTA's span as a share of the kernel's time: × waves × span ÷ clean launch, at most itself. Itself
// where one of them is not known.
double OfKernel(const Facts& facts, double share_of_span, double span_ns);

}  // namespace sextant::analysis

// From what the passes left, and from the other analyses' answers, to the facts of one kernel.
#pragma once

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "server/analysis/facts.h"

namespace sextant::analysis {

// Adds time, launches, clocks, counters, stall shares and widths of memory accesses to `facts`, which holds the
// answers that could be had. Says in `basis` which passes were used.
//
//   idle share      gaps ÷ (gaps + time of kernels), of the gaps between kernels that are shorter than 100 µs:
//                   where they are longer the program does something else. Of `activity` passes, the cleanest
//                   kind there is, median over passes
//   spread          (P80 − P20) ÷ P50 of the launch of one number over passes (of one pass: of launches of one
//                   shape), mean by their time
//   SMs             of the chip's name, else launch__sm_count
//   CTAs per SM     occupancy × warps an SM holds ÷ warps of a CTA
//   stall shares    a reason's warps per issue ÷ those of all reasons
//   bytes a thread  of global loads (stores): the instructions' widths, weighted by their executions
absl::Status GatherFacts(const Evidence& evidence, Facts* facts, v1::Basis* basis);

}  // namespace sextant::analysis

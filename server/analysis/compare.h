// Whether one job is faster than another. The method is in docs/compare.md.
#pragma once

#include "sextant/v1/sextant.pb.h"
#include "server/analysis/measured.h"

namespace sextant::analysis {

inline constexpr double kDefaultGate = 0.01;
inline constexpr size_t kMinPasses = 3;        // of each job, for a verdict
inline constexpr double kVotingShare = 0.05;   // of the time, for a row to turn the overall verdict
inline constexpr size_t kMaxDeltas = 2000;     // rows; the longest are kept

struct CompareOptions {
  double gate = kDefaultGate;   // fraction
  bool across_machines = false;
};

// Rows: every quantity of either job. A row is
//   faster, slower   the interval of the change leaves 0 out, and the change is above both the gate
//                    and A's noise floor
//   no difference    the interval lies within the gate
//   inconclusive     else; also below kMinPasses, or when the quantity is in one job alone
// Overall: what the first row of the program says (kernel time, else span, else wall), unless that is no
// difference and a row that matters is slower. Where it is inconclusive or missing: slower when a row
// that matters is, else inconclusive when one is, else faster when one is.
v1::Comparison Compare(const MeasuredPair& jobs, const CompareOptions& options);

}  // namespace sextant::analysis

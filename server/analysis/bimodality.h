// Whether observations have two modes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

// The dip of ascending values: the least distance, over all distribution functions with one mode, from theirs
// (Hartigan and Hartigan 1985, "The Dip Test of Unimodality", Ann. Statist. 13; computed as they describe,
// by greatest convex minorants and least concave majorants on a shrinking modal interval). Between 1/(2n)
// and 1/4.
double Dip(absl::Span<const double> ascending);

struct Modes {
  bool two = false;
  double first = 0;          // medians of the two groups; of all values when there is one mode
  double second = 0;
  double second_share = 0;   // of the values in the group with the larger median
};

// Two modes when √n · dip is above kDipLimit, each has at least kMinModeShare of the values, and they are
// more than kMinModeGap of the median apart. For distributions with one mode the first happens in less than
// 1 % of cases (the uniform one is the worst: 99 % quantile of √n · dip, by simulation, below kDipLimit
// for 50 ≤ n ≤ 2,000). Values from a clock that steps are spread evenly over its step, with a fixed seed, so
// that the steps are no modes. Below kMinForModes values: one. Of more than 2,000 values a regular part
// is used.
inline constexpr double kDipLimit = 0.70;
inline constexpr double kMinModeShare = 0.03;
inline constexpr double kMinModeGap = 0.05;
inline constexpr size_t kMinForModes = 50;
Modes FindModes(absl::Span<const double> values);

}  // namespace sextant::analysis

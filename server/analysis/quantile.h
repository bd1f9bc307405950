// Exact quantiles of observations.
#pragma once

#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

// The q-quantile of ascending values: the inverse of their empirical distribution function with
// linear interpolation between order statistics, position q·(n−1) (Hyndman and Fan 1996, type 7;
// what NumPy and R do by default). NaN without values. q in [0, 1].
double Quantile(absl::Span<const double> ascending, double q);

// Sorts `values` and returns one quantile for each of `quantiles`.
std::vector<double> Quantiles(std::vector<double>* values, absl::Span<const double> quantiles);

// The same in linear time for few quantiles, which ascend; reorders `values`.
std::vector<double> SelectQuantiles(absl::Span<double> values, absl::Span<const double> quantiles);

// (P80 − P20) ÷ P50 of ascending values; 0 when the median is 0.
double Spread(absl::Span<const double> ascending);

}  // namespace sextant::analysis

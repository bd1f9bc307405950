// How far a change between two small samples can be trusted, without assuming a distribution.
//
// A value is one pass's number: passes are the independent runs, what happens within one is not.
// All draws come from a generator with a fixed seed: the same values give the same answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

inline constexpr int kBootstrapRounds = 2000;
inline constexpr int kNoiseRounds = 500;

// Of medians: (b − a) ÷ a, and its 95 % interval. NaN where not known.
struct Change {
  double relative;
  double low;
  double high;
};

double Median(absl::Span<const double> values);

// Resamples many pairs of samples. Which order statistics of a sample a resample's median lies between depends on
// the sample's size alone, so these are drawn once for each size and kept: 16 kB each. One thread.
class Bootstrap {
 public:
  // The percentile interval of the bootstrap (Efron and Tibshirani 1993, "An Introduction to the
  // Bootstrap", §13.3): both samples are drawn anew with replacement kBootstrapRounds times, and the
  // interval reaches from the 2.5 % to the 97.5 % quantile of the change of medians. With few passes
  // it is narrower than its name says: for equal programs it leaves 0 out in 10 % of cases with 3 and 3
  // passes, in 8 % with 4, in 3 to 5 % with 5 or more. Interval NaN: a sample is empty or has a median of 0
  // in half of the draws.
  Change ChangeOf(absl::Span<const double> a, absl::Span<const double> b);

  // What a sample shows against itself: the 95 % quantile over kNoiseRounds random splits into two
  // halves of |median of one ÷ median of the other − 1|. NaN below 2 values.
  double NoiseFloor(absl::Span<const double> values);

 private:
  // The ranks of the middle one or two of some values.
  struct Middle {
    uint32_t low = 0;
    uint32_t high = 0;
  };
  const std::vector<Middle>& Resamples(size_t n, int sample);
  const std::vector<std::pair<Middle, Middle>>& Splits(size_t n);

  std::map<std::pair<size_t, int>, std::vector<Middle>> resamples_;     // size, first or second sample
  std::map<size_t, std::vector<std::pair<Middle, Middle>>> splits_;     // by size: of either half
};

// The medians of two groups that the values fall into: at least two values in each, and the gap between
// them above three times what either group spreads over. Needs 4 values.
std::optional<std::pair<double, double>> TwoGroups(absl::Span<const double> values);

}  // namespace sextant::analysis

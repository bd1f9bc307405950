// What goes with what: rank correlation and correlation ratio, with p-values by permutation (fixed seed).
#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace sextant::analysis {

inline constexpr int kPermutations = 499;   // so p ≥ 0.002
inline constexpr size_t kMinPaired = 5;

struct RankTest {
  double value = 0;      // NaN: fewer than kMinPaired values, or one side does not vary
  double p_value = 1;    // share of permutations (the given order among them) that reach it
};

// Spearman's: the correlation of ranks, ties with their mean rank; two-sided.
RankTest Spearman(absl::Span<const double> x, absl::Span<const double> y);

// η: the square root of the share of y's variance that lies between groups. `groups` are below `count`.
RankTest Eta(absl::Span<const uint32_t> groups, uint32_t count, absl::Span<const double> y);

}  // namespace sextant::analysis

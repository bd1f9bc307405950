// Where the variance of observations comes from, by random effects.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace sextant::analysis {

// A random effect: observation i has level levels[i], 0 ≤ level < count.
struct Factor {
  std::string name;
  std::vector<uint32_t> levels;
  uint32_t count = 0;
};

struct Component {
  std::string name;       // of the factor; "rest"
  double variance = 0;
};

// y = μ + Σ effects + rest, all effects random and independent, nested or crossed, of any sizes. Henderson's
// method 1 (Henderson 1953, "Estimation of variance and covariance components", Biometrics 9; Searle,
// Casella and McCulloch 1992, "Variance Components", §5.3): for each factor A, T_A = Σ_a y_a.² ÷ n_a;
//   E[T_A] = N μ² + Σ_F σ²_F Σ_a (Σ_f n_af² ÷ n_a) + (levels of A) σ²_rest,
// and T_0 = Σ y², T_μ = y..² ÷ N likewise: as many linear equations as unknowns. Unbiased; an estimate that
// is negative is set to 0.
//
// Factors that cannot be told apart are left out and named in `left_out` with why: fewer than two levels, as
// many levels as observations, or the same groups as a factor before it.
std::vector<Component> VarianceComponents(absl::Span<const double> y, absl::Span<const Factor> factors,
                                          std::vector<std::string>* left_out);

}  // namespace sextant::analysis

#include "server/analysis/quantile.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sextant::analysis {

double Quantile(absl::Span<const double> ascending, double q) {
  if (ascending.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double position = q * static_cast<double>(ascending.size() - 1);
  const size_t below = static_cast<size_t>(position);
  if (below + 1 >= ascending.size()) return ascending.back();
  const double part = position - static_cast<double>(below);
  return ascending[below] + part * (ascending[below + 1] - ascending[below]);
}

std::vector<double> Quantiles(std::vector<double>* values, absl::Span<const double> quantiles) {
  std::sort(values->begin(), values->end());
  std::vector<double> result;
  result.reserve(quantiles.size());
  for (double q : quantiles) result.push_back(Quantile(*values, q));
  return result;
}

double Spread(absl::Span<const double> ascending) {
  const double median = Quantile(ascending, 0.5);
  if (!(median > 0)) return 0;
  return (Quantile(ascending, 0.8) - Quantile(ascending, 0.2)) / median;
}

}  // namespace sextant::analysis

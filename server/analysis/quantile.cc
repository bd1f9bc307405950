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

std::vector<double> SelectQuantiles(absl::Span<double> values, absl::Span<const double> quantiles) {
  std::vector<double> result;
  result.reserve(quantiles.size());
  size_t done = 0;   // values[0, done) are not greater than any behind
  const size_t n = values.size();
  for (const double q : quantiles) {
    if (n == 0) {
      result.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    const double position = q * static_cast<double>(n - 1);
    const size_t below = std::min(static_cast<size_t>(position), n - 1);
    if (below >= done) {
      std::nth_element(values.begin() + done, values.begin() + below, values.end());
      done = below;
    }
    const double low = values[below];
    const double part = position - static_cast<double>(below);
    if (part <= 0 || below + 1 >= n) {
      result.push_back(low);
      continue;
    }
    // The least of what is behind stands next: where the following quantile looks first.
    std::iter_swap(values.begin() + below + 1, std::min_element(values.begin() + below + 1, values.end()));
    result.push_back(low + part * (values[below + 1] - low));
  }
  return result;
}

double Spread(absl::Span<const double> ascending) {
  const double median = Quantile(ascending, 0.5);
  if (!(median > 0)) return 0;
  return (Quantile(ascending, 0.8) - Quantile(ascending, 0.2)) / median;
}

}  // namespace sextant::analysis

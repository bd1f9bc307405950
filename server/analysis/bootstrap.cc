#include "server/analysis/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kSeed = 20261126;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Below `n`. The standard's own distributions differ between libraries.
size_t Draw(std::mt19937_64& random, size_t n) {
  return static_cast<size_t>((random() >> 32) * n >> 32);
}

// Reorders the values.
double MedianOf(std::vector<double>& values) {
  if (values.empty()) return kNaN;
  const auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double Resampled(absl::Span<const double> from, std::mt19937_64& random,
                 std::vector<double>& scratch) {
  scratch.resize(from.size());
  for (double& value : scratch) value = from[Draw(random, from.size())];
  return MedianOf(scratch);
}

bool Constant(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; });
}

}  // namespace

double Median(absl::Span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  return MedianOf(copy);
}

Change BootstrapChange(absl::Span<const double> a, absl::Span<const double> b) {
  const double before = Median(a), after = Median(b);
  Change change{before == 0 ? (after == 0 ? 0 : kNaN) : after / before - 1, kNaN, kNaN};
  if (a.empty() || b.empty()) return {kNaN, kNaN, kNaN};
  if (Constant(a) && Constant(b)) {
    change.low = change.high = change.relative;
    return change;
  }
  std::mt19937_64 random(kSeed);
  std::vector<double> changes, scratch;
  changes.reserve(kBootstrapRounds);
  for (int round = 0; round < kBootstrapRounds; ++round) {
    const double x = Resampled(a, random, scratch), y = Resampled(b, random, scratch);
    if (x != 0) changes.push_back(y / x - 1);
  }
  if (changes.size() < kBootstrapRounds / 2) return change;
  const std::vector<double> ends = Quantiles(&changes, {{0.025, 0.975}});
  change.low = ends[0];
  change.high = ends[1];
  return change;
}

double NoiseFloor(absl::Span<const double> values) {
  if (values.size() < 2) return kNaN;
  if (Constant(values)) return 0;
  std::mt19937_64 random(kSeed);
  std::vector<double> order(values.begin(), values.end()), apart;
  const size_t half = values.size() / 2;
  for (int round = 0; round < kNoiseRounds; ++round) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[Draw(random, i)]);
    const double one = Median(absl::MakeConstSpan(order).first(half));
    const double other = Median(absl::MakeConstSpan(order).subspan(half));
    if (other != 0) apart.push_back(std::abs(one / other - 1));
  }
  return Quantiles(&apart, {{0.95}})[0];
}

std::optional<std::pair<double, double>> TwoGroups(absl::Span<const double> values) {
  if (values.size() < 4) return std::nullopt;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  size_t at = 2;   // first of the upper group
  for (size_t i = 2; i + 2 <= sorted.size(); ++i)
    if (sorted[i] - sorted[i - 1] > sorted[at] - sorted[at - 1]) at = i;
  const double gap = sorted[at] - sorted[at - 1];
  if (!(gap > 3 * std::max(sorted[at - 1] - sorted.front(), sorted.back() - sorted[at])))
    return std::nullopt;
  const auto all = absl::MakeConstSpan(sorted);
  return std::make_pair(Median(all.first(at)), Median(all.subspan(at)));
}

}  // namespace sextant::analysis

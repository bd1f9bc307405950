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

double At(absl::Span<const double> ascending, uint32_t low, uint32_t high) {
  return low == high ? ascending[low] : (ascending[low] + ascending[high]) / 2;
}

std::vector<double> Sorted(absl::Span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

bool Constant(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; });
}

}  // namespace

double Median(absl::Span<const double> values) {
  std::vector<double> copy(values.begin(), values.end());
  return MedianOf(copy);
}

const std::vector<Bootstrap::Middle>& Bootstrap::Resamples(size_t n, int sample) {
  std::vector<Middle>& middles = resamples_[{n, sample}];
  if (!middles.empty()) return middles;
  std::mt19937_64 random(kSeed + sample);
  std::vector<uint32_t> times(n);   // by rank: how often it was drawn
  for (int round = 0; round < kBootstrapRounds; ++round) {
    std::fill(times.begin(), times.end(), 0);
    for (size_t i = 0; i < n; ++i) ++times[Draw(random, n)];
    const auto ranked = [&](size_t k) {
      uint32_t rank = 0;
      for (size_t before = times[0]; before <= k; before += times[rank]) ++rank;
      return rank;
    };
    middles.push_back({ranked((n - 1) / 2), ranked(n / 2)});
  }
  return middles;
}

const std::vector<std::pair<Bootstrap::Middle, Bootstrap::Middle>>& Bootstrap::Splits(size_t n) {
  std::vector<std::pair<Middle, Middle>>& splits = splits_[n];
  if (!splits.empty()) return splits;
  std::mt19937_64 random(kSeed);
  std::vector<uint32_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = static_cast<uint32_t>(i);
  const auto middle = [](std::vector<uint32_t> ranks) {
    std::sort(ranks.begin(), ranks.end());
    return Middle{ranks[(ranks.size() - 1) / 2], ranks[ranks.size() / 2]};
  };
  for (int round = 0; round < kNoiseRounds; ++round) {
    for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[Draw(random, i)]);
    splits.emplace_back(middle({order.begin(), order.begin() + n / 2}), middle({order.begin() + n / 2, order.end()}));
  }
  return splits;
}

Change Bootstrap::ChangeOf(absl::Span<const double> a, absl::Span<const double> b) {
  const double before = Median(a), after = Median(b);
  Change change{before == 0 ? (after == 0 ? 0 : kNaN) : after / before - 1, kNaN, kNaN};
  if (a.empty() || b.empty()) return {kNaN, kNaN, kNaN};
  if (Constant(a) && Constant(b)) {
    change.low = change.high = change.relative;
    return change;
  }
  const std::vector<double> sorted_a = Sorted(a), sorted_b = Sorted(b);
  const std::vector<Middle>&of_a = Resamples(a.size(), 0), &of_b = Resamples(b.size(), 1);
  std::vector<double> changes;
  changes.reserve(kBootstrapRounds);
  for (int round = 0; round < kBootstrapRounds; ++round) {
    const double x = At(sorted_a, of_a[round].low, of_a[round].high);
    const double y = At(sorted_b, of_b[round].low, of_b[round].high);
    if (x != 0) changes.push_back(y / x - 1);
  }
  if (changes.size() < kBootstrapRounds / 2) return change;
  const std::vector<double> ends = SelectQuantiles(absl::MakeSpan(changes), {0.025, 0.975});
  change.low = ends[0];
  change.high = ends[1];
  return change;
}

double Bootstrap::NoiseFloor(absl::Span<const double> values) {
  if (values.size() < 2) return kNaN;
  if (Constant(values)) return 0;
  const std::vector<double> sorted = Sorted(values);
  std::vector<double> apart;
  apart.reserve(kNoiseRounds);
  for (const auto& [one, other] : Splits(values.size())) {
    const double x = At(sorted, one.low, one.high), y = At(sorted, other.low, other.high);
    if (y != 0) apart.push_back(std::abs(x / y - 1));
  }
  return SelectQuantiles(absl::MakeSpan(apart), {0.95})[0];
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

#include "server/analysis/bimodality.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "server/analysis/quantile.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxValues = 2000;
constexpr uint64_t kSeed = 20261126;
constexpr size_t kHistogram = 64;

// Knots of the greatest convex minorant of the points (x[i], i) (`sign` 1), or of the least concave majorant
// of (x[i], i + 1) (`sign` −1), over [low, high].
std::vector<size_t> Hull(absl::Span<const double> x, size_t low, size_t high, int sign) {
  std::vector<size_t> knots;
  for (size_t i = low; i <= high; ++i) {
    while (knots.size() >= 2) {
      const size_t a = knots[knots.size() - 2], b = knots.back();
      // Whether b lies on or above (below) the line from a to i.
      const double rise_b = static_cast<double>(b - a) * (x[i] - x[a]);
      const double rise_i = static_cast<double>(i - a) * (x[b] - x[a]);
      if (sign * (rise_b - rise_i) < 0) break;
      knots.pop_back();
    }
    knots.push_back(i);
  }
  return knots;
}

// The hull at v, in units of 1/n. `above`: 0 for the minorant, 1 for the majorant.
double At(absl::Span<const double> x, const std::vector<size_t>& knots, double v, double above) {
  const auto next = std::lower_bound(knots.begin(), knots.end(), v, [&](size_t knot, double value) { return x[knot] < value; });
  if (next == knots.end()) return static_cast<double>(knots.back()) + above;
  if (next == knots.begin() || x[*next] == v) return static_cast<double>(*next) + above;
  const size_t a = *(next - 1), b = *next;
  return static_cast<double>(a) + above + static_cast<double>(b - a) * (v - x[a]) / (x[b] - x[a]);
}

// The largest distance of the empirical distribution from a hull between two knots.
double Largest(absl::Span<const double> x, const std::vector<size_t>& knots, size_t from, size_t to, bool minorant) {
  double largest = 0;
  for (size_t i = from; i <= to; ++i) {
    // Just right of x[i] the empirical function is i + 1, just left of it i.
    const double distance = minorant ? static_cast<double>(i) + 1 - At(x, knots, x[i], 0)
                                     : At(x, knots, x[i], 1) - static_cast<double>(i);
    largest = std::max(largest, distance);
  }
  return largest;
}

// The smallest positive distance between values.
double Step(absl::Span<const double> ascending) {
  double step = 0;
  for (size_t i = 1; i < ascending.size(); ++i) {
    const double gap = ascending[i] - ascending[i - 1];
    if (gap > 0 && (step == 0 || gap < step)) step = gap;
  }
  return step;
}

// Where the two groups meet: the emptiest place between their means, which are found by two-means.
double Valley(absl::Span<const double> x) {
  std::vector<double> sums = {0};
  for (const double value : x) sums.push_back(sums.back() + value);
  const size_t n = x.size();
  size_t best = 1;
  double most = -1;
  for (size_t k = 1; k < n; ++k) {
    const double low = sums[k] / static_cast<double>(k);
    const double high = (sums[n] - sums[k]) / static_cast<double>(n - k);
    const double between = static_cast<double>(k) * static_cast<double>(n - k) * (high - low) * (high - low);
    if (between > most) {
      most = between;
      best = k;
    }
  }
  const double low = sums[best] / static_cast<double>(best);
  const double high = (sums[n] - sums[best]) / static_cast<double>(n - best);
  if (!(high > low)) return x[best];
  std::vector<double> histogram(kHistogram, 0);
  for (const double value : x)
    if (value > low && value < high)
      ++histogram[std::min(kHistogram - 1, static_cast<size_t>((value - low) / (high - low) * kHistogram))];
  // The widest among the emptiest.
  size_t at = 0, width = 0;
  double fewest = INFINITY;
  for (size_t i = 0; i < kHistogram;) {
    size_t end = i + 1;
    while (end < kHistogram && histogram[end] == histogram[i]) ++end;
    if (histogram[i] < fewest || (histogram[i] == fewest && end - i > width)) {
      fewest = histogram[i];
      at = i;
      width = end - i;
    }
    i = end;
  }
  return low + (high - low) * (static_cast<double>(at) + static_cast<double>(width) / 2) / kHistogram;
}

}  // namespace

double Dip(absl::Span<const double> x) {
  const size_t n = x.size();
  if (n < 2 || x.front() == x.back()) return n == 0 ? 0 : 1 / (2.0 * static_cast<double>(n));
  size_t low = 0, high = n - 1;
  double dip = 1;   // in units of 1/n, doubled
  for (;;) {
    const std::vector<size_t> minorant = Hull(x, low, high, 1), majorant = Hull(x, low, high, -1);
    double apart = 0;
    size_t new_low = low, new_high = high;
    const auto try_at = [&](double v, size_t left, size_t right) {
      const double distance = At(x, majorant, v, 1) - At(x, minorant, v, 0);
      if (distance <= apart) return;
      apart = distance;
      new_low = left;
      new_high = right;
    };
    // Where the distance is largest at a knot of the minorant, the interval ends at the majorant's next knot,
    // and the other way round.
    for (const size_t knot : minorant) {
      const auto next = std::lower_bound(majorant.begin(), majorant.end(), knot);
      try_at(x[knot], knot, next == majorant.end() ? high : *next);
    }
    for (const size_t knot : majorant) {
      const auto next = std::upper_bound(minorant.begin(), minorant.end(), knot);
      try_at(x[knot], next == minorant.begin() ? low : *(next - 1), knot);
    }
    if (apart <= dip) break;
    dip = std::max({dip, Largest(x, minorant, low, new_low, true), Largest(x, majorant, new_high, high, false)});
    if (new_low == low && new_high == high) break;
    low = new_low;
    high = new_high;
  }
  return dip / (2.0 * static_cast<double>(n));
}

Modes FindModes(absl::Span<const double> values) {
  Modes modes;
  std::vector<double> x;
  const size_t stride = std::max<size_t>(1, (values.size() + kMaxValues - 1) / kMaxValues);
  for (size_t i = 0; i < values.size(); i += stride) x.push_back(values[i]);
  std::sort(x.begin(), x.end());
  modes.first = Quantile(x, 0.5);
  if (x.size() < kMinForModes) return modes;
  const std::vector<double> as_measured = x;
  std::mt19937_64 random(kSeed);
  const double step = Step(x);
  for (double& value : x) value += step * (static_cast<double>(random() >> 11) * 0x1p-53 - 0.5);
  std::sort(x.begin(), x.end());
  if (std::sqrt(static_cast<double>(x.size())) * Dip(x) <= kDipLimit) return modes;
  const double valley = Valley(x);
  const auto middle = std::lower_bound(as_measured.begin(), as_measured.end(), valley);
  const auto all = absl::MakeConstSpan(as_measured);
  const size_t low = static_cast<size_t>(middle - as_measured.begin());
  if (low == 0 || low == x.size()) return modes;
  const double first = Quantile(all.first(low), 0.5), second = Quantile(all.subspan(low), 0.5);
  const double share = static_cast<double>(x.size() - low) / static_cast<double>(x.size());
  if (std::min(share, 1 - share) < kMinModeShare || !(second - first > kMinModeGap * modes.first)) return modes;
  modes.two = true;
  modes.first = first;
  modes.second = second;
  modes.second_share = share;
  return modes;
}

}  // namespace sextant::analysis

#include "server/analysis/rank_tests.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace sextant::analysis {
namespace {

constexpr uint64_t kSeed = 20261126;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kSlack = 1e-12;   // equal but for rounding

// Centred; ties have their mean rank.
std::vector<double> Ranks(absl::Span<const double> values) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  const double middle = (static_cast<double>(values.size()) - 1) / 2;
  for (size_t i = 0; i < order.size();) {
    size_t end = i + 1;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t k = i; k < end; ++k) ranks[order[k]] = static_cast<double>(i + end - 1) / 2 - middle;
    i = end;
  }
  return ranks;
}

void Shuffle(std::vector<double>* values, std::mt19937_64* random) {
  for (size_t i = values->size(); i > 1; --i)
    std::swap((*values)[i - 1], (*values)[static_cast<size_t>(((*random)() >> 32) * i >> 32)]);
}

double Sum(absl::Span<const double> a, absl::Span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

RankTest Spearman(absl::Span<const double> x, absl::Span<const double> y) {
  if (x.size() != y.size() || x.size() < kMinPaired) return {kNaN, 1};
  const std::vector<double> a = Ranks(x);
  std::vector<double> b = Ranks(y);
  const double scale = std::sqrt(Sum(a, a) * Sum(b, b));
  if (!(scale > 0)) return {kNaN, 1};
  RankTest test{Sum(a, b) / scale, 1};
  std::mt19937_64 random(kSeed);
  int reached = 1;
  for (int round = 0; round < kPermutations; ++round) {
    Shuffle(&b, &random);
    reached += std::abs(Sum(a, b)) / scale >= std::abs(test.value) - kSlack ? 1 : 0;
  }
  test.p_value = static_cast<double>(reached) / (kPermutations + 1);
  return test;
}

RankTest Eta(absl::Span<const uint32_t> groups, uint32_t count, absl::Span<const double> y) {
  if (groups.size() != y.size() || y.size() < kMinPaired || count < 2) return {kNaN, 1};
  std::vector<double> values(y.begin(), y.end());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  for (double& value : values) value -= mean;
  const double all = Sum(values, values);
  std::vector<double> sizes(count, 0);
  for (const uint32_t group : groups) ++sizes[group];
  const auto used = std::count_if(sizes.begin(), sizes.end(), [](double size) { return size > 0; });
  if (!(all > 0) || used < 2 || static_cast<size_t>(used) == y.size()) return {kNaN, 1};
  std::vector<double> sums(count);
  const auto between = [&] {
    std::fill(sums.begin(), sums.end(), 0);
    for (size_t i = 0; i < values.size(); ++i) sums[groups[i]] += values[i];
    double total = 0;
    for (uint32_t group = 0; group < count; ++group)
      if (sizes[group] > 0) total += sums[group] * sums[group] / sizes[group];
    return total / all;
  };
  const double share = between();
  std::mt19937_64 random(kSeed);
  int reached = 1;
  for (int round = 0; round < kPermutations; ++round) {
    Shuffle(&values, &random);
    reached += between() >= share - kSlack ? 1 : 0;
  }
  return {std::sqrt(share), static_cast<double>(reached) / (kPermutations + 1)};
}

}  // namespace sextant::analysis

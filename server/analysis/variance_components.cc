#include "server/analysis/variance_components.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace sextant::analysis {
namespace {

constexpr uint64_t kMaxDense = 1 << 20;   // cells of a table of counts

// Calls use(a, f, n_af) for every pair of levels that occurs.
template <typename Use>
void ForPairs(const Factor& a, const Factor& f, Use use) {
  const uint64_t cells = uint64_t{a.count} * f.count;
  const size_t n = a.levels.size();
  if (cells <= kMaxDense) {
    std::vector<uint32_t> counts(cells, 0);
    for (size_t i = 0; i < n; ++i) ++counts[uint64_t{a.levels[i]} * f.count + f.levels[i]];
    for (uint64_t cell = 0; cell < cells; ++cell)
      if (counts[cell] > 0) use(cell / f.count, cell % f.count, counts[cell]);
    return;
  }
  absl::flat_hash_map<uint64_t, uint32_t> counts;
  for (size_t i = 0; i < n; ++i) ++counts[uint64_t{a.levels[i]} << 32 | f.levels[i]];
  for (const auto& [key, count] : counts) use(key >> 32, key & UINT32_MAX, count);
}

std::vector<uint32_t> Sizes(const Factor& factor) {
  std::vector<uint32_t> sizes(factor.count, 0);
  for (const uint32_t level : factor.levels) ++sizes[level];
  return sizes;
}

bool SameGroups(const Factor& a, const Factor& b) {
  if (a.count != b.count) return false;
  std::vector<int64_t> of_a(a.count, -1);
  for (size_t i = 0; i < a.levels.size(); ++i) {
    int64_t& other = of_a[a.levels[i]];
    if (other < 0) other = b.levels[i];
    else if (other != b.levels[i]) return false;
  }
  return true;
}

// Gauss with the largest pivot; false: it has no one solution.
bool Solve(std::vector<std::vector<double>> m, std::vector<double> y, std::vector<double>* x) {
  const size_t n = y.size();
  for (size_t c = 0; c < n; ++c) {
    size_t best = c;
    for (size_t r = c + 1; r < n; ++r)
      if (std::abs(m[r][c]) > std::abs(m[best][c])) best = r;
    double scale = 0;
    for (size_t k = c; k < n; ++k) scale = std::max(scale, std::abs(m[best][k]));
    if (!(std::abs(m[best][c]) > 1e-9 * std::max(scale, 1e-300))) return false;
    std::swap(m[c], m[best]);
    std::swap(y[c], y[best]);
    for (size_t r = c + 1; r < n; ++r) {
      const double f = m[r][c] / m[c][c];
      if (f == 0) continue;
      for (size_t k = c; k < n; ++k) m[r][k] -= f * m[c][k];
      y[r] -= f * y[c];
    }
  }
  x->assign(n, 0);
  for (size_t c = n; c-- > 0;) {
    double sum = y[c];
    for (size_t k = c + 1; k < n; ++k) sum -= m[c][k] * (*x)[k];
    (*x)[c] = sum / m[c][c];
  }
  return true;
}

}  // namespace

std::vector<Component> VarianceComponents(absl::Span<const double> y, absl::Span<const Factor> factors,
                                          std::vector<std::string>* left_out) {
  const size_t n = y.size();
  if (n < 2) return {};
  std::vector<const Factor*> used;
  std::vector<std::string> order;
  for (const Factor& factor : factors) {
    order.push_back(factor.name);
    if (factor.count < 2) continue;   // nothing to vary
    if (factor.count >= n) {
      left_out->push_back(absl::StrCat(factor.name, ": one observation of each, so they are part of the rest"));
      continue;
    }
    const auto same = std::find_if(used.begin(), used.end(), [&](const Factor* other) { return SameGroups(*other, factor); });
    if (same != used.end()) {
      left_out->push_back(absl::StrCat(factor.name, ": cannot be told from ", (*same)->name, ", one of each in each"));
      continue;
    }
    used.push_back(&factor);
  }
  double mean = 0;
  for (const double value : y) mean += value;
  mean /= static_cast<double>(n);

  // Unknowns: the factors' variances, the rest's, μ² (about 0, as y is centred). Equations: one for each factor,
  // T_0, T_μ. All are divided by N.
  const auto solve = [&](std::vector<double>* x) {
    const size_t k = used.size();
    std::vector<std::vector<double>> m(k + 2, std::vector<double>(k + 2, 0));
    std::vector<double> t(k + 2, 0);
    const double N = static_cast<double>(n);
    std::vector<std::vector<uint32_t>> sizes;
    for (const Factor* factor : used) sizes.push_back(Sizes(*factor));
    for (size_t a = 0; a < k; ++a) {
      std::vector<double> sums(used[a]->count, 0);
      for (size_t i = 0; i < n; ++i) sums[used[a]->levels[i]] += y[i] - mean;
      double levels = 0;
      for (uint32_t level = 0; level < used[a]->count; ++level) {
        if (sizes[a][level] == 0) continue;
        t[a] += sums[level] * sums[level] / sizes[a][level] / N;
        ++levels;
      }
      for (size_t f = 0; f < k; ++f) {
        if (f == a) m[a][f] = 1;
        else ForPairs(*used[a], *used[f], [&](uint64_t level, uint64_t, uint32_t count) {
          m[a][f] += static_cast<double>(count) * count / sizes[a][level] / N;
        });
      }
      m[a][k] = levels / N;
      m[a][k + 1] = 1;
    }
    for (size_t f = 0; f < k; ++f) {
      m[k][f] = 1;
      for (const uint32_t size : sizes[f]) m[k + 1][f] += static_cast<double>(size) * size / N / N;
    }
    m[k][k] = m[k][k + 1] = m[k + 1][k + 1] = 1;
    m[k + 1][k] = 1 / N;
    for (size_t i = 0; i < n; ++i) t[k] += (y[i] - mean) * (y[i] - mean) / N;
    return Solve(std::move(m), std::move(t), x);
  };
  std::vector<double> x;
  while (!solve(&x) && !used.empty()) {
    left_out->push_back(absl::StrCat(used.back()->name, ": cannot be told from the others"));
    used.pop_back();
  }
  std::vector<Component> components;
  for (const std::string& name : order) {
    const auto at = std::find_if(used.begin(), used.end(), [&](const Factor* one) { return one->name == name; });
    components.push_back({name, at == used.end() || x.empty() ? 0 : std::max(0.0, x[at - used.begin()])});
  }
  components.push_back({"rest", x.empty() ? 0 : std::max(0.0, x[used.size()])});
  return components;
}

}  // namespace sextant::analysis

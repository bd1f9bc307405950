#include "server/analysis/line_diff.h"

#include <algorithm>

namespace sextant::analysis {
namespace {

using Pairs = std::vector<std::pair<uint32_t, uint32_t>>;

struct Point {
  int32_t x = 0, y = 0;   // lines passed in a and in b
};

// By diagonal k = x − y, how far in `a` the best way with so many edits leads; |k| ≤ edits.
class Front {
 public:
  explicit Front(int32_t edits) : edits_(edits), x_(static_cast<size_t>(2 * edits + 1), 0) {}
  int32_t& At(int32_t k) { return x_[static_cast<size_t>(k + edits_)]; }
  int32_t At(int32_t k) const { return x_[static_cast<size_t>(k + edits_)]; }

 private:
  int32_t edits_;
  std::vector<int32_t> x_;
};

// Whether diagonal k is entered from k + 1 (a line of b is added), not from k − 1 (one of a removed).
bool FromAbove(const Front& before, int32_t k, int32_t edits) {
  return k == -edits || (k != edits && before.At(k - 1) < before.At(k + 1));
}

// From the beginnings of both, as far as `max_edits` edits lead. Appends the pairs on the way, in order.
Point Search(absl::Span<const uint32_t> a, absl::Span<const uint32_t> b, int32_t max_edits, Pairs* pairs) {
  const auto n = static_cast<int32_t>(a.size()), m = static_cast<int32_t>(b.size());
  std::vector<Front> fronts;   // by number of edits
  Point end;
  for (int32_t edits = 0;; ++edits) {
    Front front(edits);
    Point best{-1, 0};
    for (int32_t k = -edits; k <= edits; k += 2) {
      int32_t x = 0;
      if (edits > 0) {
        const Front& before = fronts.back();
        x = FromAbove(before, k, edits) ? before.At(k + 1) : before.At(k - 1) + 1;
      }
      while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) ++x;
      front.At(k) = x;
      // Ways over an end go on, and lead nowhere.
      if (x <= n && x - k <= m && (best.x < 0 || 2 * x - k > best.x + best.y)) best = {x, x - k};
    }
    fronts.push_back(std::move(front));
    end = best;
    if ((end.x == n && end.y == m) || edits == max_edits) break;
  }
  const size_t first = pairs->size();
  Point at = end;
  for (auto edits = static_cast<int32_t>(fronts.size()) - 1; edits >= 0; --edits) {
    Point from;
    if (edits > 0) {
      const Front& before = fronts[static_cast<size_t>(edits - 1)];
      const int32_t k = at.x - at.y;
      const int32_t previous = FromAbove(before, k, edits) ? k + 1 : k - 1;
      from = {before.At(previous), before.At(previous) - previous};
    }
    for (; at.x > from.x && at.y > from.y; --at.x, --at.y)
      pairs->emplace_back(static_cast<uint32_t>(at.x - 1), static_cast<uint32_t>(at.y - 1));
    at = from;
  }
  std::reverse(pairs->begin() + static_cast<std::ptrdiff_t>(first), pairs->end());
  return end;
}

}  // namespace

std::vector<std::pair<uint32_t, uint32_t>> CommonLines(absl::Span<const uint32_t> a, absl::Span<const uint32_t> b,
                                                       int32_t max_edits) {
  Pairs pairs;
  uint32_t done_a = 0, done_b = 0;
  while (done_a < a.size() && done_b < b.size() && a[done_a] == b[done_b]) pairs.emplace_back(done_a++, done_b++);
  size_t end_a = a.size(), end_b = b.size();
  while (end_a > done_a && end_b > done_b && a[end_a - 1] == b[end_b - 1]) {
    --end_a;
    --end_b;
  }
  const size_t suffix = a.size() - end_a;
  while (done_a < end_a && done_b < end_b) {
    Pairs some;
    const Point end = Search(a.subspan(done_a, end_a - done_a), b.subspan(done_b, end_b - done_b), max_edits, &some);
    for (const auto& [x, y] : some) pairs.emplace_back(x + done_a, y + done_b);
    done_a += static_cast<uint32_t>(end.x);
    done_b += static_cast<uint32_t>(end.y);
  }
  for (size_t i = 0; i < suffix; ++i)
    pairs.emplace_back(static_cast<uint32_t>(end_a + i), static_cast<uint32_t>(end_b + i));
  return pairs;
}

}  // namespace sextant::analysis
